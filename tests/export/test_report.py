"""The certificate as a page: complete, self-contained, and with every pipeline of the checkpoint."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from encserve_export.config import Engine, Precision
from encserve_export.errors import ExportError
from encserve_export.half_graph import FULL, halve
from encserve_export.layer_errors import layer_errors
from encserve_export.pipeline import export
from encserve_export.plots import Axis, bars, scatter
from encserve_export.report import render_report
from encserve_export.siblings import measure_speed, published_of


def svgs(page):
    """Every plot of the page, parsed."""
    return [ElementTree.fromstring(text) for text in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]


def titled(svg, tag):
    return [element for element in svg.iter() if element.tag == tag]


def test_the_page_has_every_pipeline_of_the_checkpoint_side_by_side(export_config, tmp_path):
    export(replace(export_config, engine=Engine.ONNXRUNTIME, precision=Precision.FP16, name="half"))
    export(export_config)
    export(replace(export_config, max_length=32))
    siblings = published_of(export_config.repository, "tiny")
    assert [(each.manifest["name"], each.manifest["version"]) for each in siblings] == [
        ("tiny", 2),
        ("tiny", 1),
        ("half", 1),
    ]
    speed = measure_speed(siblings, rounds=1)
    assert set(speed) == {siblings[0].title, siblings[1].title}, "fp16 is for GPUs"
    assert all(value > 0 for value in speed.values())

    page = render_report(siblings, speed, "2 cores of <nothing>")
    assert not re.search(r"https?://|<script|<link|@import|url\(", page), "it needs no network"
    assert "2 cores of &lt;nothing&gt;" in page
    lengths, layers, sizes, speeds = svgs(page)
    assert len(titled(lengths, "circle")) == 3 * 64
    assert len(titled(layers, "circle")) == len(siblings[2].manifest["made"]["layers"]) > 0
    assert len(titled(sizes, "rect")) == 3
    assert len(titled(speeds, "rect")) == 2
    assert "1.00 x" in "".join(speeds.itertext())
    for each in siblings:
        assert each.title in page
    for name, figure in siblings[0].manifest["parity"]["figures"].items():
        assert f"<td>{name}</td><td>{figure['measured']:.6g}</td>" in page


def small_network(*, scale):
    """Two linear layers: the first with a bias of its own, the second without; `scale` is on the second weight."""
    weights = {
        "w1": np.eye(4, dtype=np.float32),
        "encoder.first.bias": np.ones(4, np.float32),
        "w2": np.eye(4, dtype=np.float32) * scale,
    }
    nodes = [
        helper.make_node("Cast", ["ids"], ["x"], name="read", to=FULL),
        helper.make_node("MatMul", ["x", "w1"], ["product"], name="first_matmul"),
        helper.make_node("Add", ["product", "encoder.first.bias"], ["hidden"], name="first_add"),
        helper.make_node("MatMul", ["hidden", "w2"], ["y"], name="second_matmul"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, [1, 4])],
        [helper.make_tensor_value_info("y", FULL, [1, 4])],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_layers_have_their_name_their_precision_and_their_error():
    full = small_network(scale=1.0)
    packs = [{"ids": np.array([[1, 2, 3, 4]])}, {"ids": np.array([[0, 0, 0, 9]])}]
    first, second = layer_errors(full, small_network(scale=1.1), packs)
    assert first == {"layer": "encoder.first", "precision": "fp32", "error": 0.0}
    assert second == {"layer": "second_matmul", "precision": "fp32", "error": pytest.approx(0.1, rel=1e-2)}
    quantized = layer_errors(full, small_network(scale=1.1), packs, integers={"product"})
    assert [layer["precision"] for layer in quantized] == ["int8", "fp32"]
    half = halve(full, packs).model
    assert [layer["precision"] for layer in layer_errors(full, half, packs)] == ["fp16", "fp32"], "the output is cast"


def test_a_pipeline_of_another_checkpoint_is_not_beside_it(export_config, tmp_path):
    from .conftest import make_checkpoint

    export(export_config)
    other = make_checkpoint(tmp_path / "another", "bert", seed=1)
    export(replace(export_config, checkpoint=str(other), name="another"))
    assert [each.manifest["name"] for each in published_of(export_config.repository, "tiny")] == ["tiny"]


def test_a_pipeline_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ExportError, match="has no pipeline 'tiny'"):
        published_of(tmp_path, "tiny")


def test_points_stand_where_their_values_are():
    x, y = Axis.around("x", [1, 1000]), Axis.around("y", [1e-6, 1e-3])
    assert (x.low, x.high, y.low, y.high) == (1, 1e4, 1e-6, 1e-2)
    svg = svgs(scatter(x, y, {"a": [(1, 1e-6, "least"), (100, 1e-4, "more")]}, {"limit <": 1e-3}))[0]
    (first, second), (limit,) = (
        titled(svg, "circle"),
        [each for each in titled(svg, "line") if each.get("class") == "limit"],
    )
    assert float(first.get("cx")) < float(second.get("cx"))
    assert float(limit.get("y1")) < float(second.get("cy")) < float(first.get("cy"))
    assert "limit <" in "".join(svg.itertext())


def test_a_series_without_points_keeps_its_colour_and_is_not_in_the_legend():
    x, y = Axis.around("layer", [1, 36], log=False), Axis.around("error", [1e-3])
    page = scatter(x, y, {"none": [], "one": [(1, 1e-3, "own")]}, rings={"one": [(2, 1e-3, "wider")]})
    assert [circle.get("class") for circle in titled(svgs(page)[0], "circle")] == ["series-1", "series-1 ring"]
    assert re.findall(r'class="key (series-\d)">(\w+)<', page) == [("series-1", "one")]


def test_an_even_axis_has_round_marks():
    assert [words for _, words in Axis.around("layer", [1, 36], log=False).ticks()] == [
        "0", "5", "10", "15", "20", "25", "30", "35",
    ]  # fmt: skip
    assert [words for _, words in Axis.around("layer", [1, 3], log=False).ticks()] == ["0", "1", "2", "3", "4"]


def test_values_that_cannot_be_drawn_are_at_the_edge():
    axis = Axis.around("error", [float("nan"), 0.0, 1e-5])
    assert axis.low <= 1e-5 <= axis.high
    assert (axis.place(0.0), axis.place(1.0)) == (0, 1)
    assert Axis.around("nothing", []).low == 1


def test_the_longest_bar_is_the_largest_value():
    svg = svgs(bars("size", [(0, "a", 10.0, "10 MB"), (1, "b", 20.0, "20 MB")]))[0]
    a, b = (float(rect.get("width")) for rect in titled(svg, "rect"))
    assert b == pytest.approx(2 * a, rel=1e-2)
