"""The element type of every tensor of a graph."""

from __future__ import annotations

import onnx
from onnx import helper

from encserve_export.errors import Unsupported


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    """Element type of each tensor that is not a weight. Raises Unsupported: that of one is not known."""
    known = known_types(model)
    lost = [name for node in model.graph.node for name in node.output if name and name not in known]
    if lost:
        raise Unsupported(f"the type of the tensor {lost[0]} in the graph is not known, so fp16 is not offered for it")
    return known


def known_types(model: onnx.ModelProto) -> dict[str, int]:
    """Element type of each tensor that is not a weight and whose type is stated or can be inferred."""
    graph = model.graph
    known = {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.output, *graph.value_info)}
    if any(name and name not in known for node in graph.node for name in node.output):
        inferred = onnx.shape_inference.infer_shapes(_without_weights(model)).graph.value_info
        known |= {value.name: value.type.tensor_type.elem_type for value in inferred}
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
