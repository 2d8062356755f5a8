"""Routers: linear layers that decide which experts a token has.

What they give is compared and not only added up, so that rounding there has some tokens take other experts. They are a
few columns wide, and stay FP32 in every precision that a graph says.
"""

from __future__ import annotations

import onnx

_PASSED = frozenset(("Add", "Cast", "Flatten", "Identity", "Mul", "Reshape", "Softmax", "Squeeze", "Unsqueeze"))
"""What may stand between a product and the choice."""
_PRODUCTS = ("Gemm", "MatMul")


def routers(graph: onnx.GraphProto) -> set[str]:
    """The first outputs of the products, and of what stands between them and the choice of the largest."""
    producers = {output: node for node in graph.node for output in node.output}
    found: set[str] = set()
    reached = [node.input[0] for node in graph.node if node.op_type == "TopK"]
    while reached:
        node = producers.get(reached.pop())
        if node is None or node.output[0] in found:
            continue
        if node.op_type in _PRODUCTS:
            found.add(node.output[0])
        elif node.op_type in _PASSED:
            found.add(node.output[0])
            reached.extend(node.input)
    return found
