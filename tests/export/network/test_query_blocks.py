"""Attention that takes its queries in blocks: the same numbers, in memory that a long text does not square."""

import numpy as np
import onnx
import pytest
from onnx import parser

from encserve_export.errors import Unsupported
from encserve_export.network.graph_session import session_of
from encserve_export.network.query_blocks import in_query_blocks, try_query_blocks

HEADS, DIM = 2, 4


def attention(*, scores="scaled", between="", inputs=""):
    """One attention of queries (h, n, q, d) over keys and values (h, n, k, d), seen (n, 1, k)."""
    return parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 20]>
        agraph (float[{HEADS}, n, q, {DIM}] query, float[{HEADS}, n, k, {DIM}] key, float[{HEADS}, n, k, {DIM}] value,
                bool[n, 1, k] seen{inputs}) => (float[{HEADS}, n, q, {DIM}] mixed)
        <float half = {{0.5}}, float lowest = {{-1e9}}>
        {{
            columns = Transpose <perm = [0, 1, 3, 2]> (key)
            products = MatMul (query, columns)
            scaled = Mul (products, half)
            {between}
            masked = Where (seen, {scores}, lowest)
            weights = Softmax <axis = -1> (masked)
            mixed = MatMul (weights, value)
        }}
    """)


def feed(*, n=3, q=7, k=5, bias=None):
    generator = np.random.default_rng(0)
    made = {
        "query": generator.normal(size=(HEADS, n, q, DIM)),
        "key": generator.normal(size=(HEADS, n, k, DIM)),
        "value": generator.normal(size=(HEADS, n, k, DIM)),
    }
    made |= {} if bias is None else {"bias": generator.normal(size=bias)}
    numbers = {name: values.astype(np.float32) for name, values in made.items()}
    return numbers | {"seen": generator.random((n, 1, k)) < 0.7}


def blocked(model, most_scores):
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    assert in_query_blocks(changed, most_scores) == 1
    onnx.checker.check_model(changed, full_check=True)
    return changed


def rows_of(model, tensors):
    return session_of(model).run(None, tensors)[0]


@pytest.mark.parametrize("most_scores", [1, 30, 60, 10_000])
@pytest.mark.parametrize("texts", [1, 3])
def test_blocks_of_any_size_give_the_same_numbers(most_scores, texts):
    """One query at a time, which is the least; one for all texts and heads; two of seven, which leaves one; all."""
    model, tensors = attention(), feed(n=texts)
    np.testing.assert_allclose(rows_of(blocked(model, most_scores), tensors), rows_of(model, tensors), atol=1e-6)


@pytest.mark.parametrize("shape", [(HEADS, 1, 7, 5), (1, 3, 7, 5), (7, 5), (HEADS, 1, 1, 5), (1, 5)])
def test_what_differs_from_query_to_query_is_cut_along(shape):
    dims = ", ".join(map(str, shape))
    model = attention(scores="biased", between="biased = Add (bias, scaled)", inputs=f", float[{dims}] bias")
    tensors = feed(bias=shape)
    np.testing.assert_allclose(rows_of(blocked(model, 50), tensors), rows_of(model, tensors), atol=1e-6)


def test_no_more_scores_than_were_asked_for_live_at_once():
    """Read off a graph that gives out the shape of each block."""
    model = blocked(attention(), 2 * HEADS * 5)
    (loop,) = [node for node in model.graph.node if node.op_type == "Loop"]
    (body,) = [attribute.g for attribute in loop.attribute if attribute.name == "body"]
    (softmax,) = [node for node in body.node if node.op_type == "Softmax"]
    body.node.append(onnx.helper.make_node("Size", [softmax.output[0]], ["size"]))
    body.output.append(onnx.helper.make_tensor_value_info("size", onnx.TensorProto.INT64, []))
    loop.output.append("sizes")
    model.graph.output.append(onnx.helper.make_tensor_value_info("sizes", onnx.TensorProto.INT64, ["blocks"]))
    _, sizes = session_of(model).run(None, feed(n=1))
    assert sizes.tolist() == [2 * HEADS * 5] * 3 + [HEADS * 5]


def test_an_attention_of_an_unknown_shape_is_left_alone():
    model = attention(scores="odd", between="odd = Tanh (scaled)")
    before = model.SerializeToString()
    with pytest.raises(Unsupported, match="cannot take its queries in blocks: what surrounds"):
        in_query_blocks(model, 10)
    assert not try_query_blocks(model, 10)
    assert model.SerializeToString() == before


def test_operators_of_unknown_types_elsewhere_do_not_matter():
    """As those by which linear layers multiply integers, of which ONNX infers nothing."""
    model = attention()
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    model.graph.node.append(onnx.helper.make_node("QuickGelu", ["mixed"], ["elsewhere"], domain="com.microsoft"))
    assert in_query_blocks(model, 10) == 1
