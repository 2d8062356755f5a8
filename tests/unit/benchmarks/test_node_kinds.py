"""Which kind a runtime's node is of, by what the runtimes themselves say of a small graph."""

import numpy as np
import onnx
import pytest
from benchmarks.cost.node_kinds import (
    ATTENTION,
    FUSED,
    GELU,
    LINEAR,
    NORMS,
    SOFTMAX,
    kinds_in_onnxruntime,
    kinds_in_openvino,
)
from onnx import TensorProto, helper, numpy_helper

FEEDS = [{"x": np.random.default_rng(count).normal(size=(2, count, 16)).astype(np.float32)} for count in (3, 9)]


@pytest.fixture
def graph(tmp_path):
    """x (2, T, 16) -> linear -> GELU -> norm -> softmax(x x^T) x -> linear."""
    rng = np.random.default_rng(0)
    constants = {"weight": rng.normal(size=(16, 16)), "gain": np.ones(16)}
    nodes = [
        helper.make_node("MatMul", ["x", "weight"], ["hidden"]),
        helper.make_node("Gelu", ["hidden"], ["active"]),
        helper.make_node("LayerNormalization", ["active", "gain"], ["normed"]),
        helper.make_node("Transpose", ["normed"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["normed", "turned"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["weights"], axis=-1),
        helper.make_node("MatMul", ["weights", "normed"], ["mixed"]),
        helper.make_node("MatMul", ["mixed", "weight"], ["y"]),
    ]
    made = helper.make_graph(
        nodes,
        "attention",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, "T", 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, "T", 16])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    file = tmp_path / "model.onnx"
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), file)
    return file


def test_onnx_runtime_tells_products_of_weights_from_those_of_attention(graph):
    seconds = kinds_in_onnxruntime(graph, {}, FEEDS, "y")
    assert {LINEAR, ATTENTION, SOFTMAX, NORMS, GELU} <= seconds.keys()


def test_openvino_tells_products_of_weights_from_those_of_attention(graph):
    pytest.importorskip("openvino")
    seconds = kinds_in_openvino(graph, {"INFERENCE_PRECISION_HINT": "f32"}, FEEDS, "y")
    assert {LINEAR, NORMS} <= seconds.keys()
    assert {ATTENTION, FUSED} & seconds.keys()
