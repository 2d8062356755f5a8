"""Linear layers in 8 bits, on a graph of two of them."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from encserve_export.calibration import Calibration
from encserve_export.int8_rows import quantize_rows, zero_point_of

WIDTH, HIDDEN = 24, 40


@pytest.fixture
def graph(tmp_path):
    """input_ids -> embedding -> linear -> Gelu -> linear, with a column that is far larger than the others."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(50, WIDTH)).astype(np.float32)
    table[:, 3] *= 40
    constants = {
        "table": table,
        "first": rng.normal(size=(WIDTH, HIDDEN)).astype(np.float32) / 5,
        "second": rng.normal(size=(HIDDEN, 8)).astype(np.float32) / 5,
    }
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["states"]),
        helper.make_node("MatMul", ["states", "first"], ["hidden"]),
        helper.make_node("Gelu", ["hidden"], ["active"]),
        helper.make_node("MatMul", ["active", "second"], ["answer"]),
    ]
    made = helper.make_graph(
        nodes,
        "two",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["T"])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["T", 8])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    file = tmp_path / "model.onnx"
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), file)
    return file


def run(file, input_ids):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(["answer"], {"input_ids": np.asarray(input_ids, np.int64)})[0]


def error(graph, **options):
    """Relative error over all tokens after quantization of a copy."""
    everything = np.arange(50)
    exact = run(graph, everything)
    copy = graph.with_name("copy.onnx")
    copy.write_bytes(graph.read_bytes())
    quantize_rows(copy, Calibration(packs=[{"input_ids": everything}], record={}), **options)
    return np.sqrt(np.square(run(copy, everything) - exact).mean() / np.square(exact).mean())


def test_integers_stand_for_the_products(graph):
    assert 1e-6 < error(graph, balance=0.7) < 0.02
    nodes = onnx.load(graph.with_name("copy.onnx")).graph.node
    assert [node.op_type for node in nodes].count("MatMulIntegerToFloat") == 2
    assert not [node for node in nodes if node.op_type == "MatMul"]


def test_balance_lowers_the_error(graph):
    assert error(graph, balance=0.7) < error(graph, balance=0.0)


def test_zero_is_moved_for_what_comes_out_of_gelu_alone(graph):
    made = quantize_rows(graph, Calibration(packs=[{"input_ids": np.arange(50)}], record={}), balance=0.7)
    low, high = made["zero_points"]
    assert low < 40
    assert high > 90


def test_what_a_token_becomes_depends_on_no_other(graph):
    quantize_rows(graph, Calibration(packs=[{"input_ids": np.arange(50)}], record={}), balance=0.7)
    together = run(graph, np.arange(50))
    for token in (0, 7, 49):
        assert np.array_equal(run(graph, [token])[0], together[token])


def test_zero_goes_where_the_steps_are_smallest():
    rng = np.random.default_rng(0)
    even = rng.normal(size=(100, 30)).astype(np.float32)
    assert 100 <= zero_point_of(even) <= 128
    assert zero_point_of(np.maximum(even, -0.05)) < 20
    assert zero_point_of(np.zeros((5, 30), np.float32)) in range(1, 129)
