"""The precision int8 for ONNX Runtime on a CPU: linear layers multiply 8-bit integers.

Each token's row is rounded with a scale of its own, so that what a token becomes depends on no other. The sums of the
products are exact integers on every processor, if ONNX Runtime is told so: without `session.x64quantprecision` they
overflow on processors that have no VNNI.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from encserve_export.checkpoint.checkpoint import Checkpoint
from encserve_export.network.graph_file import Pack, read_graph_file, write_graph_file
from encserve_export.texts.calibration import Calibration
from encserve_export.texts.trial_texts import ORDINARY_TEXTS, ordinary_packs, trial_packs

from .layers.choice import MOST_ERROR, choose
from .layers.errors import layer_errors
from .layers.linear import InputStatistics, input_statistics, layers_by_source, linear_layers, weights_of
from .layers.replacement import with_products_of_integers
from .rounding.rows import STEPS, RowRounding, row_rounding
from .rounding.weights import column_scales, round_weights

_CONTRIB = "com.microsoft"
_SMALLEST_SCALE = 1e-5  # of a row, which it is divided by


def transform(graph: Path, checkpoint: Checkpoint, calibration: Calibration) -> dict[str, Any]:
    """Replace linear layers of the graph file by integer ones; returns what the manifest says of it.

    Raises:
        Unsupported: no layer of it can be int8.
    """
    packs = trial_packs(checkpoint)
    return to_integers(graph, calibration.packs, tried=packs[:ORDINARY_TEXTS], shown=ordinary_packs(packs))


def to_integers(
    graph: Path,
    calibration: Iterable[Pack],
    *,
    tried: Sequence[Pack],
    shown: Sequence[Pack],
    most_error: float = MOST_ERROR,
) -> dict[str, Any]:
    """Replace linear layers of any graph file by integer ones; returns what the manifest says of it.

    Args:
        graph: the file, which is rewritten in place.
        calibration: inputs of the graph by name, on which its layers are looked at.
        tried: others, on which it is chosen which layers become integers.
        shown: some of them, on which layers are ranked and the error of each is told.
        most_error: how far the graph may be moved on `tried`, in the terms of `MOST_ERROR`.

    Raises:
        Unsupported: no layer of it can be int8.
    """
    full = read_graph_file(graph)
    sources = integer_rows(full, graph, calibration)
    choice = choose(full, sources, with_integer_rows, tried, ranked_on=shown, most_error=most_error)
    turned = with_integer_rows(full, choice.taken)
    errors = layer_errors(full, turned, shown, integers=choice.outputs)
    write_graph_file(turned, graph)
    roundings = [rows.rounding for rows in choice.taken]
    return {
        "method": "int8 rows with a scale each in linear layers, exact integer sums; the rest fp32",
        "weight_rounding": "gptq",
        "int8_layers": len(choice.outputs),
        "linear_layers": len(linear_layers(full.graph)),
        "error_of_choice": float(f"{choice.error:.3g}"),
        "inputs_in_fp32": choice.left_out,
        "fp32_columns": sum(len(rounding.kept) for rounding in roundings),
        "zero_points": sorted({rounding.zero_point for rounding in roundings}),
        "layers": errors,
    }


@dataclass(frozen=True, kw_only=True)
class IntegerWeight:
    """The matrix of one linear layer."""

    integers: NDArray[np.int8]
    """(K, N), zeros in the rows of the columns that stay in FP32."""
    scale: NDArray[np.float32]
    """What one step of each column stands for: (N,)."""
    kept: NDArray[np.float32]
    """The rows (k, N) for the columns that stay in FP32."""
    of_shift: NDArray[np.float32]
    """What the products of moved rows lack: (N,)."""

    def parts(self, widths: Sequence[int]) -> list[IntegerWeight]:
        """The matrices that lie side by side in it, by how many columns each has."""
        ends = np.cumsum(widths)[:-1]
        arrays = (self.integers, self.scale, self.kept, self.of_shift)
        split = zip(*(np.split(array, ends, axis=-1) for array in arrays), strict=True)
        return [
            IntegerWeight(integers=integers, scale=scale, kept=kept, of_shift=of_shift)
            for integers, scale, kept, of_shift in split
        ]


@dataclass(frozen=True, kw_only=True)
class IntegerRows:
    """One tensor that linear layers multiply, such as q, k and v, and its integers."""

    name: str
    rounding: RowRounding
    weights: Mapping[str, IntegerWeight]
    """Output of a layer -> its matrix."""


def integer_rows(full: onnx.ModelProto, graph: Path, calibration: Iterable[Pack]) -> list[IntegerRows]:
    """Every tensor that linear layers multiply, with its integers; `graph` is the file of `full`, and `calibration` has
    inputs of it."""
    layers = linear_layers(full.graph)
    statistics = input_statistics(graph, layers, calibration)
    weights = weights_of(full.graph, layers)
    made = []
    for source, each in layers_by_source(layers).items():
        matrices = [weights[layer.weight] for layer in each]
        together = np.concatenate(matrices, axis=1)  # their columns are rounded one by one, with one inverse
        of_source = statistics.pop(source)
        rounding = row_rounding(of_source, together)
        parts = _integers(together, rounding, of_source).parts([matrix.shape[1] for matrix in matrices])
        outputs = [layer.node.output[0] for layer in each]
        made.append(IntegerRows(name=source, rounding=rounding, weights=dict(zip(outputs, parts, strict=True))))
    return made


def _integers(weight: NDArray[np.float32], rounding: RowRounding, statistics: InputStatistics) -> IntegerWeight:
    free = rounding.free
    grown = weight[free] * rounding.factor[free, None]
    products = statistics.products_of(rounding.shift, rounding.factor)[np.ix_(free, free)]
    scale = column_scales(grown, products)
    integers = np.zeros(weight.shape, np.int8)
    integers[free] = round_weights(grown, scale, products)
    of_shift = np.asarray(rounding.shift[free] @ weight[free], np.float32)
    return IntegerWeight(integers=integers, scale=scale, kept=weight[rounding.kept], of_shift=of_shift)


def with_integer_rows(full: onnx.ModelProto, sources: Sequence[IntegerRows]) -> onnx.ModelProto:
    """A copy of the FP32 graph in which the layers behind `sources` multiply integers."""
    model = with_products_of_integers(full, sources, add_rows=_add_rows, add_product=_add_product)
    model.opset_import.append(helper.make_opsetid(_CONTRIB, 1))
    return model


def _add_rows(graph: onnx.GraphProto, source: IntegerRows) -> None:
    """What rounds the rows of one tensor (..., K), in as few nodes as there may be: a step of a decoder has few rows,
    and a node of its own takes it as long as a small product."""
    name, rounding = source.name, source.rounding
    zero = rounding.zero_point
    inverse = np.where(rounding.free, 1 / rounding.factor, 0).astype(np.float32)
    constants: dict[str, NDArray[Any]] = {
        "inverse_factor": inverse,
        "last": np.array([-1], np.int64),
        "smallest": np.array(_SMALLEST_SCALE, np.float32),
        "step_above": np.array(1 / (STEPS - zero), np.float32),
        "step_below": np.array(-1 / zero, np.float32),
        "one": np.array(1, np.float32),
        "zero_point": np.array(zero, np.uint8),
    }
    if rounding.moves:
        constants["shift"] = rounding.shift
    if len(rounding.kept):
        constants["kept_columns"] = rounding.kept.astype(np.int64)
    graph.initializer.extend(numpy_helper.from_array(value, f"{name}_{each}") for each, value in constants.items())

    def add(operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        named = [each if each == name else f"{name}_{each}" for each in inputs]
        graph.node.append(helper.make_node(operator, named, [f"{name}_{output}"], **attributes))

    if rounding.moves:
        add("Sub", [name, "shift"], "moved")
    add("Mul", ["moved" if rounding.moves else name, "inverse_factor"], "balanced")
    add("ReduceMax", ["balanced", "last"], "above")  # (..., 1)
    add("ReduceMin", ["balanced", "last"], "below")
    add("Mul", ["above", "step_above"], "scale_above")
    add("Mul", ["below", "step_below"], "scale_below")
    add("Max", ["scale_above", "scale_below", "smallest"], "row_scale")
    add("Div", ["balanced", "row_scale"], "steps")
    add("QuantizeLinear", ["steps", "one", "zero_point"], "uint8")
    if len(rounding.kept):
        add("Gather", [name, "kept_columns"], "kept", axis=-1)  # (..., k)


def _add_product(graph: onnx.GraphProto, node: onnx.NodeProto, source: IntegerRows) -> None:
    """What takes the place of the layer `node`."""
    name = node.output[0]
    rows, weight = source.name, source.weights[name]
    constants: dict[str, NDArray[Any]] = {"int8": weight.integers, "scale": weight.scale}
    terms = [f"{name}_integers"]  # (..., N)
    integers = [f"{rows}_uint8", f"{name}_int8", f"{rows}_one", f"{name}_scale", f"{rows}_zero_point"]
    nodes = [
        helper.make_node("MatMulIntegerToFloat", integers, [f"{name}_columns"], domain=_CONTRIB),
        helper.make_node("Mul", [f"{name}_columns", f"{rows}_row_scale"], terms),
    ]
    if len(weight.kept):
        constants["fp32"] = np.ascontiguousarray(weight.kept)
        terms.append(f"{name}_beside")
        nodes.append(helper.make_node("MatMul", [f"{rows}_kept", f"{name}_fp32"], terms[-1:]))
    if source.rounding.moves:
        constants["of_shift"] = weight.of_shift
        terms.append(f"{name}_of_shift")
    while len(terms) > 2:
        nodes.append(helper.make_node("Add", terms[:2], [f"{terms[0]}_{len(terms)}"]))
        terms[:2] = nodes[-1].output
    if len(terms) == 2:
        nodes.append(helper.make_node("Add", terms, [name]))
    else:
        nodes[-1].output[0] = name
    graph.initializer.extend(numpy_helper.from_array(value, f"{name}_{each}") for each, value in constants.items())
    graph.node.extend(nodes)
