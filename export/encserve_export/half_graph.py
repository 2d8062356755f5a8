"""An FP32 graph with its weights and its work in fp16, strongly typed: every tensor has the type that it says.

Norms, softmax, masks and sums stay FP32 between Casts, and so does whatever overflows on the texts that are tried: fp16
ends at 65,504.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from .errors import Unsupported
from .graph_file import session_of

FULL, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
LARGEST = float(np.finfo(np.float16).max)

KEPT_OPERATORS = frozenset(
    (
        "CumSum",
        "Div",
        "Exp",
        "InstanceNormalization",
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
        "Where",
    )
)
"""Operators that stay FP32: norms and their parts, softmax and the mask before it, sums. Linear layers are not among
them; their kernels add up in FP32."""
_BETWEEN = frozenset(("Abs", "Add", "Clip", "Mul", "Neg", "Sub"))
"""Operators that stay FP32 where everything around them does, as the epsilon inside a norm."""

Pack = Mapping[str, NDArray[np.int64]]
"""Inputs of the graph by name."""


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


def strictly_rounded(model: onnx.ModelProto) -> onnx.ModelProto:
    """A graph that computes the same, and rounds every fp16 tensor on a CPU too.

    ONNX Runtime has no arithmetic in fp16 there. It computes in FP32 and drops the pairs of Casts in between, so that
    nothing overflows that would on a GPU. What goes through Unsqueeze and Squeeze, which know fp16, is rounded.
    """
    strict = onnx.ModelProto()
    strict.CopyFrom(model)
    graph = strict.graph
    halves = {value.name for value in graph.value_info if value.type.tensor_type.elem_type == HALF}
    del graph.node[:]
    for original in model.graph.node:
        node = graph.node.add()
        node.CopyFrom(original)
        for index, name in enumerate(original.output):
            if name in halves:
                node.output[index] = f"{name}_unrounded"
                graph.node.extend(
                    [
                        helper.make_node("Unsqueeze", [node.output[index], _AXIS], [f"{name}_unsqueezed"]),
                        helper.make_node("Squeeze", [f"{name}_unsqueezed", _AXIS], [name]),
                    ]
                )
    graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.int64), _AXIS))
    return strict


_AXIS = "axis_of_rounding"


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
        full = {node.name for node in floats if node.op_type in KEPT_OPERATORS}
        for node in floats:
            large = [name for name in node.input if name in self._weights and self._exceeds(name)]
            if large and node.name not in full:
                full.add(node.name)
                self.kept[node.name] = f"its constant {large[0]} is beyond the largest number of fp16"
        producers = {output: node.name for node in floats for output in node.output}
        consumers = defaultdict(set)
        for node in floats:
            for name in node.input:
                if name in producers:
                    consumers[producers[name]].add(node.name)
        grew = True
        while grew:
            grew = False
            for node in floats:
                around = {producers[name] for name in node.input if name in producers} | consumers[node.name]
                if node.op_type in _BETWEEN and node.name not in full and around and around <= full:
                    full.add(node.name)
                    grew = True
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


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    """Element type of each tensor that is not a weight."""
    graph = model.graph
    known = {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.output, *graph.value_info)}
    missing = [name for node in graph.node for name in node.output if name and name not in known]
    if missing:
        inferred = onnx.shape_inference.infer_shapes(_without_weights(model)).graph.value_info
        known |= {value.name: value.type.tensor_type.elem_type for value in inferred}
    lost = [name for name in missing if name not in known]
    if lost:
        raise Unsupported(f"the type of the tensor {lost[0]} in the graph is not known, so fp16 is not offered for it")
    return known


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with its weights as inputs: what infers types takes no graph of more than 2 GiB."""
    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions)
    graph = light.graph
    graph.name = model.graph.name
    for part in ("node", "input", "output", "value_info"):
        getattr(graph, part).extend(getattr(model.graph, part))
    weights = model.graph.initializer
    graph.input.extend(helper.make_tensor_value_info(each.name, each.data_type, each.dims) for each in weights)
    return light


def _half_name(weight: str) -> str:
    return f"{weight}_fp16"


def _cast(tensor: str, name: str, to: int) -> NodeProto:
    return helper.make_node("Cast", [tensor], [name], name=f"{name}_cast", to=to)


def _give_half(node: NodeProto) -> None:
    """Let a node that chooses its type by an attribute choose fp16."""
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == FULL:
            attribute.i = HALF
        elif attribute.type == attribute.TENSOR and attribute.t.data_type == FULL:
            values: Any = numpy_helper.to_array(attribute.t).astype(np.float16)
            attribute.t.CopyFrom(numpy_helper.from_array(values))
