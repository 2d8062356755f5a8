"""An FP32 graph with its weights and its work in fp16, strongly typed: every tensor has the type that it says.

Norms, softmax, masks and sums stay FP32 between Casts, and so does whatever overflows on the texts that are tried: fp16
ends at 65,504.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import NodeProto, TensorProto, helper, numpy_helper

from encserve_export.errors import Unsupported
from encserve_export.network.graph_file import Pack
from encserve_export.network.graph_session import session_of
from encserve_export.network.tensor_types import types_of
from encserve_export.precision.layers.routers import routers

from .full_nodes import KEPT_OPERATORS, full_nodes
from .gpu_rounding import strictly_rounded

FULL, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class HalfGraph:
    """A graph in fp16."""

    model: onnx.ModelProto
    kept: dict[str, str]
    """Nodes that stay FP32 beside those of `KEPT_OPERATORS` -> why."""


def halve(model: onnx.ModelProto, packs: Sequence[Pack]) -> HalfGraph:
    """Turn an FP32 graph into fp16 that gives finite numbers for `packs`, leaving `model` as it is.

    The first node that overflows is found by bisection over the nodes in their order, kept in FP32, and the search
    goes on until nothing overflows.

    Raises:
        Unsupported: the graph has branches or loops, or gives NaN or infinity even in FP32.
    """
    plan = _Plan(model)
    failing = _failing(plan.typed(plan.everything), packs)
    if _failing(model, failing):
        raise Unsupported("the FP32 graph itself gives NaN or infinity for one of the texts that are tried")
    kept: dict[str, str] = {}
    while failing:
        candidates = [name for name in plan.everything if name not in kept]
        least, most = 0, len(candidates)  # with so many in fp16 all is finite, and is not
        while most - least > 1:
            middle = (least + most) // 2
            least, most = (least, middle) if _failing(plan.typed(candidates[:middle]), failing) else (middle, most)
        kept[candidates[most - 1]] = "overflows on the texts that are tried"
        failing = _failing(plan.typed([name for name in candidates if name not in kept]), failing)
    return HalfGraph(plan.typed([name for name in plan.everything if name not in kept]), plan.kept | kept)


def _failing(model: onnx.ModelProto, packs: Sequence[Pack]) -> list[Pack]:
    """Those of `packs` for which the graph gives NaN or infinity when every fp16 tensor is rounded."""
    if not packs:
        return []
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = session_of(strictly_rounded(model), options)
    return [pack for pack in packs if not all(np.isfinite(rows).all() for rows in session.run(None, dict(pack)))]


class _Plan:
    """The nodes of a graph that work on floating-point numbers, and what each of them may be."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        graph = model.graph
        if any(attribute.type in (attribute.GRAPH, attribute.GRAPHS) for n in graph.node for attribute in n.attribute):
            raise Unsupported("the graph has branches or loops, which fp16 is not offered for")
        self._types = types_of(model)
        self._weights = {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == FULL}
        self.kept: dict[str, str] = {}
        """Nodes that no choice brings to fp16 -> why."""
        self.everything = self._may_be_half()
        """Names of the nodes that may be fp16, in order."""

    def _is_float(self, tensor: str) -> bool:
        return tensor in self._weights or self._types.get(tensor) == FULL

    def _may_be_half(self) -> list[str]:
        floats = [
            node
            for node in self._model.graph.node
            if any(map(self._is_float, [*node.input, *node.output])) and node.name
        ]
        for node in floats:
            large = [name for name in node.input if name in self._weights and self._exceeds(name)]
            if large and node.op_type not in KEPT_OPERATORS:
                self.kept[node.name] = f"its constant {large[0]} is beyond the largest number of fp16"
        deciding = routers(self._model.graph)
        self.kept |= {
            node.name: "decides which experts a token has"
            for node in floats
            if node.output[0] in deciding and node.op_type not in KEPT_OPERATORS
        }
        full = full_nodes(floats, self.kept)
        return [node.name for node in floats if node.name not in full]

    def _exceeds(self, weight: str) -> bool:
        values = numpy_helper.to_array(self._weights[weight])
        return bool(values.size) and not bool(np.abs(values).max() <= LARGEST)

    def typed(self, half_nodes: Collection[str]) -> onnx.ModelProto:
        """The graph with `half_nodes` in fp16 and Casts wherever types meet. Inputs and outputs stay as they are."""
        half = set(half_nodes)
        graph = self._model.graph
        is_half: dict[str, bool] = {}  # of the floats that nodes give
        nodes: list[NodeProto] = []
        casts: dict[tuple[str, bool], str] = {}
        wanted: dict[str, set[bool]] = defaultdict(set)  # the types in which each weight is asked for

        def given_as(tensor: str, in_half: bool) -> str:
            if tensor in self._weights:
                wanted[tensor].add(in_half)
                return _half_name(tensor) if in_half else tensor
            if is_half.get(tensor, False) == in_half:
                return tensor
            if (tensor, in_half) not in casts:
                casts[tensor, in_half] = f"{tensor}_in_{'fp16' if in_half else 'fp32'}"
                nodes.append(_cast(tensor, casts[tensor, in_half], HALF if in_half else FULL))
            return casts[tensor, in_half]

        outputs = {output.name for output in graph.output}
        for original in graph.node:
            node = NodeProto()
            node.CopyFrom(original)
            in_half = node.name in half
            for index, name in enumerate(node.input):
                if self._is_float(name):
                    node.input[index] = given_as(name, in_half)
            after: list[NodeProto] = []
            for index, name in enumerate(node.output):
                if not self._is_float(name):
                    continue
                is_half[name] = in_half
                if in_half and name in outputs:  # others may read it too: they read the FP32 one
                    node.output[index] = f"{name}_before_output"
                    after.append(_cast(node.output[index], name, FULL))
                    is_half[name] = False
            if in_half:
                _give_half(node)
            nodes += [node, *after]

        typed = onnx.ModelProto()
        typed.CopyFrom(self._model)
        del typed.graph.node[:], typed.graph.initializer[:], typed.graph.value_info[:]
        typed.graph.node.extend(nodes)
        types = {
            name: HALF if node.name in half else FULL
            for node in graph.node
            for name in node.output
            if self._is_float(name)
        }
        types |= {cast: HALF if in_half else FULL for (_, in_half), cast in casts.items()}
        types |= {f"{name}_before_output": HALF for name in outputs if types.get(name) == HALF}
        typed.graph.value_info.extend(
            helper.make_tensor_value_info(name, type_, None) for name, type_ in types.items() if name not in outputs
        )
        for tensor in graph.initializer:
            asked = wanted.get(tensor.name, {False})
            if False in asked or tensor.name not in self._weights:
                typed.graph.initializer.append(tensor)
            if True in asked:
                values = numpy_helper.to_array(tensor).astype(np.float16)
                typed.graph.initializer.append(numpy_helper.from_array(values, _half_name(tensor.name)))
        return typed


def _half_name(weight: str) -> str:
    return f"{weight}_fp16"


def _cast(tensor: str, name: str, to: int) -> NodeProto:
    return helper.make_node("Cast", [tensor], [name], name=f"{name}_cast", to=to)


def _give_half(node: NodeProto) -> None:
    """Let a node that chooses its type by an attribute choose fp16. ConstantOfShape without one gives zeros in FP32."""
    if node.op_type == "ConstantOfShape" and not node.attribute:
        zero = numpy_helper.from_array(np.zeros(1, np.float16))
        node.attribute.append(helper.make_attribute("value", zero))
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == FULL:
            attribute.i = HALF
        elif attribute.type == attribute.TENSOR and attribute.t.data_type == FULL:
            values: Any = numpy_helper.to_array(attribute.t).astype(np.float16)
            attribute.t.CopyFrom(numpy_helper.from_array(values))
