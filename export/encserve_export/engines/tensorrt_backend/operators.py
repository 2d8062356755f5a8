"""The operators that TensorRT's ONNX parser states, and for which types.

What it does not take is written in other operators, and what cannot be is refused before a GPU is busy with it.

Out of onnx-tensorrt, docs/operators.md of TensorRT 10.15, as far as graphs of encoders use them. What it says of
constants (`axes` of reductions, `axis` of CumSum) is checked too.
"""

from __future__ import annotations

from collections.abc import Iterator

from onnx import ModelProto, NodeProto, TensorProto, helper

from encserve_export.errors import Unsupported
from encserve_export.network.tensor_types import types_of

_FLOATS = frozenset((TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16))
_NUMBERS = _FLOATS | {TensorProto.INT32, TensorProto.INT64}
_BOOLEANS = frozenset((TensorProto.BOOL,))
_ALL = _NUMBERS | _BOOLEANS

OPERATORS: dict[str, frozenset[int]] = {
    operator: types
    for types, operators in (
        (
            _FLOATS,
            "Ceil Clip Conv Cos CumSum Einsum Elu Erf Exp Floor Gemm HardSigmoid HardSwish InstanceNormalization "
            "LayerNormalization LeakyRelu Log LogSoftmax MatMul QuantizeLinear Reciprocal Round Sigmoid Sin Softmax "
            "Softplus Softsign Sqrt Tanh",
        ),
        (
            _NUMBERS,
            "Abs Add Div Equal Gelu Greater GreaterOrEqual IsNaN Less LessOrEqual Max Mean Min Mod Mul Neg Pad Pow "
            "Range ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
            "ReduceSumSquare Relu ScatterElements ScatterND Sign Sub Sum",
        ),
        (
            _ALL,
            "Cast Concat Constant ConstantOfShape Expand Flatten Gather GatherElements GatherND Identity Reshape Shape "
            "Size Slice Split Squeeze Tile Transpose Trilu Unsqueeze Where",
        ),
        (_BOOLEANS, "And Not Or Xor"),
        (frozenset((TensorProto.INT8,)), "DequantizeLinear"),
    )
    for operator in operators.split()
}
"""Operator -> the types of its first tensor that it takes; of Where that of its values."""

_CONSTANT = {"CumSum": 1, "Squeeze": 1, "Unsqueeze": 1} | {name: 1 for name in OPERATORS if name.startswith("Reduce")}
"""Operator -> the input that must be a constant."""
_SHOWN = 5


def rewrite_integers(graph: ModelProto) -> None:
    """Write Clip and CumSum of integers, which TensorRT has for floats alone, in other operators, in place.

    A sum is made of floats: they hold every integer below 2**24, and a batch has fewer tokens.
    """
    types = types_of(graph) | {tensor.name: tensor.data_type for tensor in graph.graph.initializer}
    nodes = [rewritten for node in graph.graph.node for rewritten in _rewritten(node, types)]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)


def _rewritten(node: NodeProto, types: dict[str, int]) -> Iterator[NodeProto]:
    integers = node.op_type in ("Clip", "CumSum") and types[node.input[0]] in (TensorProto.INT32, TensorProto.INT64)
    if not integers:
        yield node
    elif node.op_type == "Clip":
        tensor, least, most = (*node.input, "", "")[:3]
        bounds = [(operator, bound) for operator, bound in (("Max", least), ("Min", most)) if bound]
        for number, (operator, bound) in enumerate(bounds, 1):
            bounded = node.output[0] if number == len(bounds) else f"{node.output[0]}_{operator}"
            yield helper.make_node(operator, [tensor, bound], [bounded], name=f"{node.name}_{operator}")
            tensor = bounded
    else:
        tensor, axis = node.input
        floats, summed = f"{tensor}_of_{node.name}", f"{node.output[0]}_in_fp32"
        yield helper.make_node("Cast", [tensor], [floats], name=f"{node.name}_from", to=TensorProto.FLOAT)
        cumulative = helper.make_node("CumSum", [floats, axis], [summed], name=node.name)
        cumulative.attribute.extend(node.attribute)
        yield cumulative
        yield helper.make_node("Cast", [summed], [node.output[0]], name=f"{node.name}_to", to=types[tensor])


def check_operators(graph: ModelProto) -> None:
    """Refuse a graph that TensorRT's parser would refuse.

    Raises:
        Unsupported: names the first nodes with what is wrong with each.
    """
    types = types_of(graph) | {tensor.name: tensor.data_type for tensor in graph.graph.initializer}
    constants = {tensor.name for tensor in graph.graph.initializer}
    constants |= {node.output[0] for node in graph.graph.node if node.op_type == "Constant"}
    complaints = [complaint for node in graph.graph.node if (complaint := _complaint(node, types, constants))]
    if complaints:
        more = f"; and {len(complaints) - _SHOWN} more" if len(complaints) > _SHOWN else ""
        raise Unsupported(f"TensorRT cannot take the graph: {'; '.join(complaints[:_SHOWN])}{more}")


def _complaint(node: NodeProto, types: dict[str, int], constants: set[str]) -> str:
    allowed = OPERATORS.get(node.op_type)
    if allowed is None or node.domain not in ("", "ai.onnx"):
        return f"it has no operator {node.op_type} (node {node.name})"
    looked_at = node.input[1] if node.op_type == "Where" else (*node.input, *node.output)[0]
    if node.op_type == "ConstantOfShape":
        looked_at = node.output[0]
    if types[looked_at] not in allowed:
        return f"its {node.op_type} takes no {TensorProto.DataType.Name(types[looked_at])} (node {node.name})"
    place = _CONSTANT.get(node.op_type)
    if place is not None and len(node.input) > place and node.input[place] not in constants:
        return f"its {node.op_type} wants input {place} to be a constant (node {node.name})"
    return ""
