"""A graph that one message cannot hold runs from memory as a small one does; here one of more than 1,000 bytes."""

import gc

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from encserve_export.network import graph_file
from encserve_export.network.graph_session import session_of

WORDS, WIDTH = 1_000, 32
IDS = np.array([3, 999, 0], np.int64)


def graph_of(kind):
    """Rows of a table, once more with what lies in tensors of two other sizes."""
    rng = np.random.default_rng(0)
    table = (rng.standard_normal((WORDS, WIDTH)) * 50).astype(kind)
    weight = rng.standard_normal((WIDTH, WIDTH)).astype(np.float32)
    small = rng.standard_normal(WIDTH).astype(np.float32)
    made = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "ids"], ["some"]),
            helper.make_node("Cast", ["some"], ["rows"], to=TensorProto.FLOAT),
            helper.make_node("MatMul", ["rows", "weight"], ["product"]),
            helper.make_node("Add", ["product", "small"], ["sum"]),
        ],
        "looked up and multiplied",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("rows", "sum")],
        [
            numpy_helper.from_array(each, name)
            for each, name in ((table, "table"), (weight, "weight"), (small, "small"))
        ],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.int8])
def test_a_large_graph_gives_what_it_gives_in_one_message(kind, monkeypatch):
    graph = graph_of(kind)
    expected = session_of(graph).run(None, {"ids": IDS})
    monkeypatch.setattr(graph_file, "EXTERNAL_ABOVE_BYTES", 1_000)
    session = session_of(graph)
    del graph
    gc.collect()
    for ours, each in zip(session.run(None, {"ids": IDS}), expected, strict=True):
        np.testing.assert_array_equal(ours, each)


def test_no_weight_of_it_goes_through_a_file_or_a_message(monkeypatch):
    """Those of a decoder of 0.6 billion parameters would be written, and read again, for each of the hundred sessions
    in which it is chosen what becomes int8."""
    monkeypatch.setattr(graph_file, "EXTERNAL_ABOVE_BYTES", 1_000)
    given, genuine = [], onnxruntime.InferenceSession.__init__
    monkeypatch.setattr(
        onnxruntime.InferenceSession,
        "__init__",
        lambda self, graph, *rest, **options: (given.append(graph), genuine(self, graph, *rest, **options))[1],
    )
    session_of(graph_of(np.float32))
    (graph,) = given
    assert isinstance(graph, bytes)
    assert len(graph) < 2_000
