"""How far each linear layer of a graph in another precision is from the same layer in FP32."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from encserve_export.network.graph_file import Pack
from encserve_export.network.graph_session import session_of

_TYPES = {TensorProto.FLOAT: "fp32", TensorProto.FLOAT16: "fp16"}


def layer_errors(
    full: onnx.ModelProto,
    other: onnx.ModelProto,
    packs: Sequence[Pack],
    *,
    integers: Collection[str] = (),
) -> list[dict[str, Any]]:
    """For each linear layer that both graphs have, in order: its name, its precision, and its relative error.

    `integers` are the outputs of the layers that multiply 8-bit integers, whose type does not say so.

    The error is the largest difference of its output from that of the FP32 graph, over the largest output: with all
    that the layers before it have added.
    """
    layers = {tensor: name for tensor, name in _linear_layers(full).items() if tensor in _outputs(other)}
    names = list(layers)
    worst, largest = np.zeros(len(names)), np.zeros(len(names))
    ours, theirs = _session(other, names), _session(full, names)
    for pack in packs:
        pairs = zip(ours.run(names, dict(pack)), theirs.run(names, dict(pack)), strict=True)
        for index, (a, b) in enumerate(pairs):
            worst[index] = max(worst[index], float(np.abs(a.astype(np.float64) - b).max(initial=0)))
            largest[index] = max(largest[index], float(np.abs(b).max(initial=0)))
    types = {value.name: value.type.tensor_type.elem_type for value in other.graph.value_info}
    return [
        {
            "layer": layers[name],
            "precision": "int8" if name in integers else _TYPES[types.get(name, TensorProto.FLOAT)],
            "error": float(f"{worst[index] / max(largest[index], 1e-12):.3g}"),
        }
        for index, name in enumerate(names)
    ]


def _outputs(model: onnx.ModelProto) -> set[str]:
    return {name for node in model.graph.node for name in node.output}


def _linear_layers(model: onnx.ModelProto) -> dict[str, str]:
    """The output of each multiplication with a weight -> the layer's name, after its bias where it has its own.

    The exporter joins equal constants, so a bias that several layers share is named after the first of them.
    """
    readers = Counter(name for node in model.graph.node for name in node.input)
    weights = {tensor.name for tensor in model.graph.initializer}
    products = {
        node.output[0]: node.name
        for node in model.graph.node
        if node.op_type in ("Gemm", "MatMul") and any(name in weights for name in node.input)
    }
    for node in model.graph.node:
        if node.op_type == "Add":
            bias = [name for name in node.input if name in weights and name.endswith(".bias") and readers[name] == 1]
            product = [name for name in node.input if name in products]
            if bias and product:
                products[product[0]] = bias[0].removesuffix(".bias")
    return products


def _session(model: onnx.ModelProto, outputs: Sequence[str]) -> onnxruntime.InferenceSession:
    """A session that gives inner tensors too."""
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    there = {output.name for output in model.graph.output}
    opened.graph.output.extend(
        helper.make_tensor_value_info(name, types.get(name, TensorProto.FLOAT), None)
        for name in outputs
        if name not in there
    )
    return session_of(opened)
