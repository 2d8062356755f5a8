"""The certificate as a page: complete, self-contained, and with every pipeline of the checkpoint."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from encserve_export.config import Engine, Precision
from encserve_export.errors import ExportError
from encserve_export.export import export
from encserve_export.precision.half.graph import FULL, halve
from encserve_export.precision.layers.errors import layer_errors
from encserve_export.publication.siblings import published_of
from encserve_export.report.page import render_report


def svgs(page):
    """Every plot of the page, parsed."""
    return [ElementTree.fromstring(text) for text in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]


def titled(svg, tag):
    return [element for element in svg.iter() if element.tag == tag]


def test_the_page_has_every_pipeline_of_the_checkpoint_side_by_side(export_config, tmp_path):
    export(replace(export_config, engine=Engine.ONNXRUNTIME, precision=Precision.FP16, name="half"))
    export(export_config)
    export(replace(export_config, max_length=32))
    siblings = published_of(export_config.repository, "tiny", pytest.fail)
    assert [(each.manifest["name"], each.manifest["version"]) for each in siblings] == [
        ("tiny", 2),
        ("tiny", 1),
        ("half", 1),
    ]
    assert [bool(each.speed) for each in siblings] == [True, True, False], "fp16 is for GPUs"

    page = render_report(siblings)
    assert not re.search(r"https?://|<script|<link|@import|url\(", page), "it needs no network"
    assert siblings[0].manifest["speed"]["hardware"] in page
    lengths, layers, sizes, speeds = svgs(page)
    assert len(titled(lengths, "circle")) == sum(len(each.manifest["parity"]["token_counts"]) for each in siblings)
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
    from export.small_checkpoints import make_checkpoint

    export(export_config)
    other = make_checkpoint(tmp_path / "another", "bert", seed=1)
    export(replace(export_config, checkpoint=str(other), name="another"))
    assert [each.manifest["name"] for each in published_of(export_config.repository, "tiny", pytest.fail)] == ["tiny"]


def test_a_pipeline_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ExportError, match="has no pipeline 'tiny'"):
        published_of(tmp_path, "tiny", pytest.fail)
