"""The precision int8 for GPUs: linear layers between QuantizeLinear and DequantizeLinear, everything else as in fp16.

Scales are constants, zero is 0, weights have a scale for each column and rows one for all: the form that TensorRT takes
since it has no calibration of its own, and that ONNX Runtime runs. Rows with one scale for all lose more than rows with
a scale each, so inputs are tried, the worst first, in fp16, until the network as a whole keeps to its reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from encserve_export.checkpoint.checkpoint import Checkpoint
from encserve_export.network.graph_file import read_graph_file, write_graph_file
from encserve_export.texts.calibration import Calibration
from encserve_export.texts.trial_texts import ORDINARY_TEXTS, ordinary_packs, trial_packs

from .half.gpu_rounding import strictly_rounded
from .half.graph import halve
from .layers.choice import choose
from .layers.errors import layer_errors
from .layers.linear import LinearLayer, input_statistics, layers_by_source, linear_layers, weights_of
from .layers.replacement import with_products_of_integers
from .rounding.static_scales import StaticScale, in_fp16, static_scale
from .rounding.weights import column_scales, round_weights


def transform(graph: Path, checkpoint: Checkpoint, calibration: Calibration) -> dict[str, Any]:
    """Rewrite an FP32 graph file in int8 and fp16; returns what the manifest says of it.

    Raises:
        Unsupported: the graph cannot be fp16, or no layer of it int8.
    """
    full, packs = read_graph_file(graph), trial_packs(checkpoint)
    layers = linear_layers(full.graph)
    sources, few = quantized(full, graph, layers, calibration), ordinary_packs(packs)
    choice = choose(full, sources, with_integers, packs[:ORDINARY_TEXTS], ranked_on=few)
    turned = halve(with_integers(full, choice.taken), [*packs, *calibration.packs])
    errors = layer_errors(full, strictly_rounded(turned.model), few, integers=choice.outputs)
    write_graph_file(turned.model, graph)
    return {
        "method": "int8 with static scales in linear layers, Q/DQ; the rest fp16, with norms, softmax, masks, sums "
        "and angles in fp32",
        "weight_rounding": "gptq",
        "int8_layers": len(choice.outputs),
        "linear_layers": len(layers),
        "error_of_choice": float(f"{choice.error:.3g}"),
        "inputs_in_fp16": choice.left_out,
        "kept_fp32": turned.kept,
        "layers": errors,
    }


@dataclass(frozen=True, kw_only=True)
class Source:
    """One tensor that linear layers multiply, such as q, k and v, and its integers."""

    name: str
    scale: StaticScale
    weights: dict[str, tuple[NDArray[np.int8], NDArray[np.float16], NDArray[np.float32]]]
    """Output of a layer -> its matrix (K, N) in integers, one scale for each column (N,), and what the shift of the
    rows adds to its products (N,)."""


def quantized(
    full: onnx.ModelProto, graph: Path, layers: Sequence[LinearLayer], calibration: Calibration
) -> list[Source]:
    """Every input of linear layers with its integers, the least error first."""
    statistics = input_statistics(graph, layers, calibration.packs)
    weights = weights_of(full.graph, layers)
    sources = []
    for name, each in layers_by_source(layers).items():
        scale = static_scale(statistics[name], np.concatenate([weights[layer.weight] for layer in each], axis=1))
        products = statistics[name].products_of(scale.shift, scale.factor)
        made = {layer.node.output[0]: _integers(weights[layer.weight], scale, products) for layer in each}
        sources.append(Source(name=name, scale=scale, weights=made))
    return sorted(sources, key=lambda source: source.scale.error)


def _integers(
    weight: NDArray[np.float32], scale: StaticScale, products: NDArray[np.float64]
) -> tuple[NDArray[np.int8], NDArray[np.float16], NDArray[np.float32]]:
    grown = weight * scale.factor[:, None]
    steps = in_fp16(column_scales(grown, products))
    return round_weights(grown, steps.astype(np.float32), products), steps, scale.shift @ weight


def with_integers(full: onnx.ModelProto, sources: Sequence[Source]) -> onnx.ModelProto:
    """A copy of the FP32 graph in which the layers behind `sources` multiply what comes out of Q/DQ pairs."""
    return with_products_of_integers(full, sources, add_rows=_add_rows, add_product=_add_product)


def _add_rows(graph: onnx.GraphProto, source: Source) -> None:
    """What rounds the rows of one tensor."""
    name, scale, rows = source.name, source.scale, source.name
    _add_constant(graph, f"{name}_scale", np.float32(scale.scale))
    _add_constant(graph, f"{name}_zero", np.int8(0))
    if scale.shift.any():
        _add_constant(graph, f"{name}_shift", scale.shift)
        rows = _add_node(graph, "Sub", [rows, f"{name}_shift"], f"{name}_moved")
    _add_constant(graph, f"{name}_inverse_factor", (1 / scale.factor).astype(np.float32))
    rows = _add_node(graph, "Mul", [rows, f"{name}_inverse_factor"], f"{name}_balanced")
    pair = [f"{name}_scale", f"{name}_zero"]
    _add_node(graph, "QuantizeLinear", [rows, *pair], f"{name}_int8", onnx.TensorProto.INT8)
    _add_node(graph, "DequantizeLinear", [f"{name}_int8", *pair], f"{name}_rounded")


def _add_product(graph: onnx.GraphProto, node: onnx.NodeProto, source: Source) -> None:
    """What takes the place of `node`."""
    name = node.output[0]
    integers, steps, of_shift = source.weights[name]
    _add_constant(graph, f"{name}_weight_int8", integers)
    _add_constant(graph, f"{name}_weight_scale", steps.astype(np.float32))
    _add_constant(graph, f"{name}_weight_zero", np.zeros(len(steps), np.int8))
    pair = [f"{name}_weight_scale", f"{name}_weight_zero"]
    weight = _add_node(graph, "DequantizeLinear", [f"{name}_weight_int8", *pair], f"{name}_weight", axis=1)
    rows = f"{source.name}_rounded"
    if not of_shift.any():
        graph.node.append(helper.make_node("MatMul", [rows, weight], [name], name=node.name))
        return
    _add_constant(graph, f"{name}_of_shift", of_shift)
    product = f"{name}_of_moved"
    graph.node.append(helper.make_node("MatMul", [rows, weight], [product], name=node.name))
    graph.value_info.append(helper.make_tensor_value_info(product, onnx.TensorProto.FLOAT, None))
    graph.node.append(helper.make_node("Add", [product, f"{name}_of_shift"], [name], name=f"{name}_add_shift"))


def _add_constant(graph: onnx.GraphProto, name: str, value: NDArray[Any] | np.generic) -> None:
    graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))


def _add_node(
    graph: onnx.GraphProto,
    operator: str,
    inputs: Sequence[str],
    output: str,
    type_: int = onnx.TensorProto.FLOAT,
    **attributes: Any,
) -> str:
    graph.node.append(helper.make_node(operator, inputs, [output], name=f"{output}_{operator}", **attributes))
    graph.value_info.append(helper.make_tensor_value_info(output, type_, None))
    return output
