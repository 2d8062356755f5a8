"""Which nodes of a graph stay FP32 when the others become fp16."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from onnx import NodeProto

KEPT_OPERATORS = frozenset(
    (
        "CumSum",
        "Div",
        "Exp",
        "InstanceNormalization",
        "LSTM",
        "LayerNormalization",
        "Log",
        "LogSoftmax",
        "Pow",
        "RMSNormalization",
        "Range",
        "Reciprocal",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSumExp",
        "ReduceMean",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
        "SimplifiedLayerNormalization",
        "SkipLayerNormalization",
        "Softmax",
        "Sqrt",
        "TopK",
        "Where",
    )
)
"""Operators that stay FP32: norms and their parts, softmax and the mask before it, sums, the choice of experts, and an
LSTM, in which rounding goes on from word to word. Linear layers are not among them; their kernels add up in FP32."""
_WAVES = frozenset(("Cos", "Sin"))
"""What makes a rotation out of an angle. The angles of position 8,191 are up to 8,191 radians, where fp16 counts in
steps of 4: they stay FP32 up to here, and their sines and cosines may be fp16."""
_BETWEEN = frozenset(("Abs", "Add", "Clip", "Mul", "Neg", "Sub"))
"""Operators that stay FP32 where everything around them does, as the epsilon inside a norm."""


def full_nodes(floats: Sequence[NodeProto], beyond: Collection[str]) -> set[str]:
    """The names of those of `floats`, the nodes that work on floating-point numbers in their order, that stay FP32.

    `beyond` has the names of those that must, as fp16 cannot hold their constants.
    """
    producers = {output: node for node in floats for output in node.output}
    full = {node.name for node in floats if node.op_type in KEPT_OPERATORS} | set(beyond) | _angles(floats, producers)
    consumers = defaultdict(set)
    for node in floats:
        for name in node.input:
            if name in producers:
                consumers[producers[name].name].add(node.name)
    grew = True
    while grew:
        grew = False
        for node in floats:
            around = {producers[name].name for name in node.input if name in producers} | consumers[node.name]
            if node.op_type in _BETWEEN and node.name not in full and around and around <= full:
                full.add(node.name)
                grew = True
    return full


def _angles(floats: Sequence[NodeProto], producers: dict[str, NodeProto]) -> set[str]:
    """The names of sines and cosines, and of all that their angles are made of."""
    found: set[str] = set()
    reached = [node for node in floats if node.op_type in _WAVES]
    while reached:
        node = reached.pop()
        if node.name not in found:
            found.add(node.name)
            reached += [producers[name] for name in node.input if name in producers]
    return found
