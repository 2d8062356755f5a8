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

from . import fp16
from .calibration import Calibration
from .checkpoint import Checkpoint
from .errors import Unsupported
from .graph_file import read_graph_file, session_of, write_graph_file
from .half_graph import Pack, halve, strictly_rounded
from .layer_errors import layer_errors
from .linear_layers import InputStatistics, LinearLayer, drop_unused, input_statistics, linear_layers, weights_of
from .static_scales import StaticScale, in_fp16, static_scale
from .trial_texts import ORDINARY_TEXTS, ordinary_packs, trial_packs
from .weight_rounding import column_scales, round_weights

MOST_ERROR = 1e-3
"""Of the network's rows on texts that were not calibrated on: mean squared difference from FP32 over the mean square.
Half of it is what a cosine falls short of 1."""
as_gpus_round = fp16.as_gpus_round


def transform(graph: Path, checkpoint: Checkpoint, calibration: Calibration) -> dict[str, Any]:
    """Rewrite an FP32 graph file in int8 and fp16; returns what the manifest says of it.

    Raises:
        Unsupported: the graph cannot be fp16, or no layer of it int8.
    """
    full, packs = read_graph_file(graph), trial_packs(checkpoint)
    layers = linear_layers(full.graph)
    choice = choose(full, quantized(full, graph, layers, calibration), packs[:ORDINARY_TEXTS])
    turned = halve(with_integers(full, choice.sources), [*packs, *calibration.packs])
    errors = layer_errors(full, strictly_rounded(turned.model), ordinary_packs(packs), integers=choice.outputs)
    write_graph_file(turned.model, graph)
    return {
        "method": "int8 with static scales in linear layers, Q/DQ; the rest fp16, with norms, softmax, masks and sums "
        "in fp32",
        "weight_rounding": "gptq",
        "int8_layers": len(choice.outputs),
        "linear_layers": len(layers),
        "inputs_in_fp16": choice.left_out(),
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


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is rounded, and what was measured to choose it."""

    sources: Sequence[Source]
    """What is rounded."""
    alone: dict[str, float]
    """Of every source: how far it moves the network when it alone is rounded."""

    @property
    def outputs(self) -> set[str]:
        """What the layers that multiply integers give."""
        return {output for source in self.sources for output in source.weights}

    def left_out(self) -> dict[str, float]:
        """The sources that stay fp16, with how far each would move the network."""
        taken = {source.name for source in self.sources}
        return {name: float(f"{error:.3g}") for name, error in self.alone.items() if name not in taken}


def quantized(
    full: onnx.ModelProto, graph: Path, layers: Sequence[LinearLayer], calibration: Calibration
) -> list[Source]:
    """Every input of linear layers with its integers, the least error first."""
    statistics = input_statistics(graph, layers, calibration)
    weights = weights_of(full.graph, layers)
    sharing: dict[str, list[LinearLayer]] = {}
    for layer in layers:
        sharing.setdefault(layer.source, []).append(layer)
    sources = []
    for name, each in sharing.items():
        scale = static_scale(statistics[name], np.concatenate([weights[layer.weight] for layer in each], axis=1))
        products = _moved(statistics[name], scale)
        made = {layer.node.output[0]: _integers(weights[layer.weight], scale, products) for layer in each}
        sources.append(Source(name=name, scale=scale, weights=made))
    return sorted(sources, key=lambda source: source.scale.error)


def _moved(statistics: InputStatistics, scale: StaticScale) -> NDArray[np.float64]:
    """Sum over tokens of x x^T (K, K), of rows that are moved and divided."""
    shift, total = scale.shift.astype(np.float64), statistics.total
    crossed = np.outer(total, shift)
    moved = statistics.products - crossed - crossed.T + statistics.tokens * np.outer(shift, shift)
    return np.asarray(moved / np.outer(scale.factor, scale.factor))


def _integers(
    weight: NDArray[np.float32], scale: StaticScale, products: NDArray[np.float64]
) -> tuple[NDArray[np.int8], NDArray[np.float16], NDArray[np.float32]]:
    grown = weight * scale.factor[:, None]
    steps = in_fp16(column_scales(grown, products))
    return round_weights(grown, steps.astype(np.float32), products), steps, scale.shift @ weight


def choose(full: onnx.ModelProto, sources: Sequence[Source], packs: Sequence[Pack]) -> Choice:
    """The inputs to round: as many as keep the network to `MOST_ERROR`, those that move it least first.

    Raises:
        Unsupported: not even one does.
    """
    reference = rows_of(full, packs)

    def error(*some: Source) -> float:
        return relative_error(rows_of(with_integers(full, some), packs), reference)

    alone = {source.name: error(source) for source in sources}
    ranked = sorted(sources, key=lambda source: alone[source.name])
    if error(*ranked) <= MOST_ERROR:
        return Choice(sources=ranked, alone=alone)
    least, most = 0, len(ranked)  # with so many it holds, and does not
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (middle, most) if error(*ranked[:middle]) <= MOST_ERROR else (least, middle)
    if not least:
        raise Unsupported(
            f"no linear layer can be int8: the one that moves the network least moves it by {min(alone.values()):.3g}, "
            f"and {MOST_ERROR:g} is the most"
        )
    return Choice(sources=ranked[:least], alone=alone)


def rows_of(model: onnx.ModelProto, packs: Sequence[Pack]) -> list[NDArray[np.float32]]:
    """Every output of a graph for every pack, each (r, W)."""
    session = session_of(model)
    return [rows for pack in packs for rows in session.run(None, dict(pack))]


def relative_error(ours: Sequence[NDArray[np.float32]], reference: Sequence[NDArray[np.float32]]) -> float:
    """Mean over rows of the squared difference over the reference's square."""
    pairs = list(zip(ours, reference, strict=True))
    errors = [np.square(a - b).sum(-1) / np.maximum(np.square(b).sum(-1), 1e-30) for a, b in pairs]
    return float(np.concatenate([each.ravel() for each in errors]).mean())


def with_integers(full: onnx.ModelProto, sources: Sequence[Source]) -> onnx.ModelProto:
    """A copy of the FP32 graph in which the layers behind `sources` multiply what comes out of Q/DQ pairs."""
    model = onnx.ModelProto()
    model.CopyFrom(full)
    behind = {output: source for source in sources for output in source.weights}
    begun: set[str] = set()
    del model.graph.node[:]
    for node in full.graph.node:
        source = behind.get(node.output[0])
        if source is not None and source.name not in begun:
            begun.add(source.name)
            _add_rows(model.graph, source)
        if source is not None:
            _add_product(model.graph, node, source)
        else:
            model.graph.node.append(node)
    drop_unused(model.graph)
    return model


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
