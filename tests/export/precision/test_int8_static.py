"""int8 for GPUs: the form of Q/DQ pairs that TensorRT takes, fp16 around them, and which inputs stay fp16."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from fake_tensorrt import fake_target
from onnx import TensorProto, helper, numpy_helper

from encserve_export.config import Device, Engine, Precision
from encserve_export.engines.tensorrt_backend import plan_session, tensorrt_engine
from encserve_export.engines.tensorrt_backend.operators import check_operators
from encserve_export.errors import InvalidConfig, Unsupported
from encserve_export.export import export
from encserve_export.network.tensor_types import types_of
from encserve_export.precision.half.graph import FULL, HALF, halve
from encserve_export.precision.int8_static import quantized, with_integers
from encserve_export.precision.layers.choice import choose, relative_error, rows_of
from encserve_export.precision.layers.linear import input_statistics, linear_layers
from encserve_export.precision.rounding.static_scales import static_scale
from encserve_export.texts.calibration import Calibration

from .looked_at import statistics_of

WIDTH = 24
PACK = {"input_ids": np.arange(100)}
LENIENT = {"cosine_min": 0.9, "cosine_mean": 0.99, "neighbours": 0.5, "max_abs_diff": 0.5}
"""Random weights are a worse case than trained ones."""


@pytest.fixture
def graph(tmp_path):
    """input_ids -> embeddings -> two linear layers on the same rows, whose columns stand far from zero; and a third on
    rows of which few are a thousand times as large as the others, which one scale cannot hold."""
    rng = np.random.default_rng(0)
    wild = rng.normal(size=(100, WIDTH)).astype(np.float32)
    wild[::25] *= 1000
    constants = {
        "tame_table": (rng.normal(size=(100, WIDTH)) + 20 * rng.normal(size=WIDTH)).astype(np.float32),
        "wild_table": wild,
        **{name: rng.normal(size=(WIDTH, 8)).astype(np.float32) / 5 for name in ("q", "k", "v")},
    }
    nodes = [
        helper.make_node("Gather", ["tame_table", "input_ids"], ["tame"], name="tame"),
        helper.make_node("Gather", ["wild_table", "input_ids"], ["wild"], name="wild"),
        helper.make_node("MatMul", ["tame", "q"], ["query"], name="query"),
        helper.make_node("MatMul", ["tame", "k"], ["key"], name="key"),
        helper.make_node("MatMul", ["wild", "v"], ["value"], name="value"),
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["T", 8]) for name in ("query", "key", "value")]
    inputs = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["T"])]
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    made = helper.make_graph(nodes, "three", inputs, outputs, weights)
    made.value_info.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("tame", "wild"))
    file = tmp_path / "model.onnx"
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), file)
    return file


@pytest.fixture
def sources(graph):
    calibration = Calibration(packs=[PACK], record={})
    model = onnx.load(graph)
    return {source.name: source for source in quantized(model, graph, linear_layers(model.graph), calibration)}


def check_form(model):
    """What TensorRT asks of Q/DQ pairs; returns the products between them."""
    constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    made_by = {output: node for node in model.graph.node for output in node.output}
    types = types_of(model) | {each.name: each.data_type for each in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            _, scale, zero = node.input
            assert (constants[scale] > 0).all()
            assert np.isfinite(constants[scale]).all()
            assert constants[zero].dtype == np.int8
            assert not constants[zero].any()
            assert types[scale] == HALF
    products = []
    for node in model.graph.node:
        rows, weight = (made_by.get(name) for name in node.input[:2]) if node.op_type == "MatMul" else (None, None)
        if weight is None or weight.op_type != "DequantizeLinear":
            continue
        products.append(node.name)
        assert rows.op_type == "DequantizeLinear"
        assert made_by[rows.input[0]].op_type == "QuantizeLinear"
        assert constants[rows.input[1]].shape == ()
        assert rows.input[1:] == made_by[rows.input[0]].input[1:], "one scale for both"
        integers = constants[weight.input[0]]
        assert integers.dtype == np.int8
        assert integers.min() >= -127
        assert [attribute.i for attribute in weight.attribute if attribute.name == "axis"] == [1]
        assert constants[weight.input[1]].shape == (integers.shape[1],)
        assert {types[name] for name in (*node.input, *node.output)} == {HALF}
    return products


def test_layers_stand_between_pairs_of_the_form_that_tensorrt_takes(graph, sources):
    model = halve(with_integers(onnx.load(graph), list(sources.values())), [PACK]).model
    onnx.checker.check_model(model, full_check=True)
    assert check_form(model) == ["query", "key", "value"]
    assert [node.op_type for node in model.graph.node].count("QuantizeLinear") == 2, "query and key share one"
    check_operators(model)


def test_integers_stand_for_the_products(graph, sources):
    full = onnx.load(graph)
    exact = rows_of(full, [PACK])
    assert 1e-9 < relative_error(rows_of(with_integers(full, [sources["tame"]]), [PACK]), exact) < 1e-4


def test_rows_that_one_scale_cannot_hold_stay_as_they_are(graph, sources):
    full = onnx.load(graph)
    choice = choose(full, list(sources.values()), with_integers, [PACK], ranked_on=[PACK])
    assert [source.name for source in choice.taken] == ["tame"]
    assert choice.outputs == {"query", "key"}
    assert choice.left_out["wild"] > 10 * choice.error > 0
    assert list(choice.left_out) == ["wild"]
    with pytest.raises(Unsupported, match=r"no linear layer can be int8: .* moves it by \d.*, and 0.001 is the most"):
        choose(full, [sources["wild"]], with_integers, [PACK], ranked_on=[PACK])


def test_the_worst_output_decides_however_few_rows_it_has(graph, sources):
    """As the logits of a step beside the keys and values of all layers."""
    full = onnx.load(graph)
    full.graph.initializer.append(numpy_helper.from_array(np.array([5_000, 1]), "often"))
    full.graph.node.append(helper.make_node("Tile", ["key", "often"], ["keys"], name="keys"))
    full.graph.output.append(helper.make_tensor_value_info("keys", TensorProto.FLOAT, ["R", 8]))
    choice = choose(full, list(sources.values()), with_integers, [PACK], ranked_on=[PACK])
    assert [source.name for source in choice.taken] == ["tame"]
    assert choice.left_out["wild"] > 0.1


@pytest.mark.parametrize("output", [0, 1])
def test_what_is_no_number_is_as_far_as_can_be(output):
    reference = [[np.ones((2, 3), np.float32)], [np.ones((2, 3), np.float32)]]
    ours = [[rows.copy() for rows in each] for each in reference]
    assert relative_error(ours, reference) == 0
    ours[output][0][0, 0] = np.nan
    assert relative_error(ours, reference) == np.inf


def test_columns_far_from_zero_are_moved():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(200, WIDTH)).astype(np.float32)
    weight = rng.normal(size=(WIDTH, 8)).astype(np.float32)
    far = rows + np.float32(30) * np.sign(rng.normal(size=WIDTH)).astype(np.float32)
    moved = static_scale(statistics_of(far), weight)
    assert np.abs(moved.shift - far.mean(0)).max() < 2
    assert moved.error < 1e-3
    sparse = np.where(rng.random(rows.shape) < 0.01, 10, 0).astype(np.float32)
    assert not static_scale(statistics_of(sparse), weight).shift.any(), "most values are zero and stay exact"


def test_statistics_of_packs_are_those_of_all_rows(graph):
    model = onnx.load(graph)
    layers = linear_layers(model.graph)
    halves = [{"input_ids": np.arange(40)}, {"input_ids": np.arange(40, 100)}]
    together, apart = (input_statistics(graph, layers, p) for p in ([PACK], halves))
    for name, whole in together.items():
        for field in ("spread", "mean", "least", "most", "largest"):
            one, other = getattr(whole, field), getattr(apart[name], field)
            assert np.abs(one - other).max() <= 1e-5 * np.abs(one).max(), field
        assert whole.tokens == apart[name].tokens == 100


def test_an_export_is_certified_and_says_which_layers_are_int8(export_config, monkeypatch):
    monkeypatch.setattr(tensorrt_engine, "find_target", fake_target)
    monkeypatch.setattr(plan_session, "_DEVICE", "cpu")
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(cuda_stream=0, synchronize=int))
    graphs = []
    monkeypatch.setattr(tensorrt_engine, "remove_graph_file", lambda file: graphs.append(onnx.load(file)))
    manifest = export(replace(export_config, engine=Engine.TENSORRT, precision=Precision.INT8, limits=LENIENT))
    figures, made = manifest.parity["figures"], manifest.made
    assert 0.99 < figures["cosine_mean"]["measured"] < 1
    assert figures["company_max_abs_diff"]["measured"] <= 1e-5, "a text moves with its neighbours"
    kinds = [layer["precision"] for layer in made["layers"]]
    assert set(kinds) <= {"int8", "fp16", "fp32"}
    assert 0 < kinds.count("int8") == made["int8_layers"] <= made["linear_layers"] == 6
    assert manifest.calibration["texts"] > 100
    (model,) = graphs
    assert len(check_form(model)) == made["int8_layers"]
    types = types_of(model)
    norms = [node for node in model.graph.node if node.op_type == "LayerNormalization"]
    assert {types[node.output[0]] for node in norms} == {FULL}
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (vectors,) = session.run(None, {"input_ids": np.arange(5, 15), "lengths": np.array([4, 6])})
    assert vectors.shape == (2, 32)


@pytest.mark.parametrize("device", [None, Device.CPU, Device.GPU])
def test_int8_is_not_offered_on_engine_onnxruntime(export_config, device):
    """On its CPUs int8 has fp16 beside it, which they have no arithmetic in; on GPUs nobody has measured it."""
    config = replace(export_config, engine=Engine.ONNXRUNTIME, precision=Precision.INT8, device=device)
    with pytest.raises(InvalidConfig, match=r"--precision int8 --engine onnxruntime.* is not offered\. Offered is"):
        export(config)
