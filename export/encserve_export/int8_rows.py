"""Linear layers in 8 bits for ONNX Runtime.

Each token's row is rounded with a scale of its own, so that what a token becomes depends on no other. Before that,
columns are balanced against the weights that they meet (Xiao et al. 2022, SmoothQuant, equation 4), and zero lies where
the rows need it: what comes out of GELU is hardly ever negative, and gets nearly all of the 255 steps above zero. Where
a few columns are so large that the steps of all others would be twice as wide, those stay in FP32, beside the integers
(Dettmers et al. 2022, LLM.int8()).
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

from .calibration import Calibration
from .checkpoint import Checkpoint
from .graph_file import read_graph_file, write_graph_file
from .layer_errors import layer_errors
from .linear_layers import InputStatistics, LinearLayer, drop_unused, input_statistics, linear_layers, weights_of
from .trial_texts import ordinary_packs, trial_packs
from .weight_rounding import column_scales, round_weights

BALANCE = 0.65
"""SmoothQuant's alpha: how much of the difference between columns moves from the inputs into the weights."""
_CONTRIB = "com.microsoft"
_SMALLEST = 1e-5  # of a column's or a weight row's largest value, where it is divided by
_STEPS = 255
_OUTLIERS = 32
"""One column in so many may stay in FP32."""
_WORTH_IT = 0.5
"""What the mean squared step must shrink to for that: it costs a product of its own."""
_ZERO_POINTS = range(4, 129, 4)
"""What zero may become. Rows that are as large below zero as above take 128."""


def transform(graph: Path, checkpoint: Checkpoint, calibration: Calibration) -> dict[str, Any]:
    """Replace the linear layers of the graph file by integer ones."""
    full = read_graph_file(graph)
    made = quantize_rows(graph, calibration, balance=BALANCE)
    integers = {layer.node.output[0] for layer in linear_layers(full.graph)}
    packs = ordinary_packs(trial_packs(checkpoint))
    return made | {"layers": layer_errors(full, read_graph_file(graph), packs, integers=integers)}


def quantize_rows(
    graph: Path, calibration: Calibration, *, balance: float, skew: bool = True, worth_it: float = _WORTH_IT
) -> dict[str, Any]:
    """As `transform`; without `skew` zero stays in the middle of the steps, with `worth_it` = 0 no column in FP32."""
    model = read_graph_file(graph)
    layers = linear_layers(model.graph)
    statistics = input_statistics(graph, layers, calibration)
    weights = weights_of(model.graph, layers)
    sharing: dict[str, list[LinearLayer]] = {}  # layers that multiply the same rows, such as q, k and v
    for layer in layers:
        sharing.setdefault(layer.source, []).append(layer)
    made = {
        source: _rows(source, statistics[source], [weights[layer.weight] for layer in each], balance, skew, worth_it)
        for source, each in sharing.items()
    }
    replaced = {layer.node.output[0]: layer for layer in layers}
    nodes: list[onnx.NodeProto] = []
    begun: set[str] = set()
    for node in model.graph.node:
        if node.output[0] not in replaced:
            nodes.append(node)
            continue
        source, weight = replaced[node.output[0]].source, weights[replaced[node.output[0]].weight]
        rows = made[source]
        if source not in begun:
            begun.add(source)
            nodes += rows.nodes
            model.graph.initializer.extend(rows.constants)
        product = _product(node, rows, weight, statistics[source].products)
        nodes += product.nodes
        model.graph.initializer.extend(product.constants)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.opset_import.append(helper.make_opsetid(_CONTRIB, 1))
    drop_unused(model.graph)
    write_graph_file(model, graph)
    return {
        "int8_layers": len(layers),
        "weight_rounding": "gptq",
        "balance": balance,
        "zero_points": sorted({rows.zero_point for rows in made.values()}),
        "inputs_with_fp32_columns": sum(len(rows.outliers) > 0 for rows in made.values()),
    }


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Nodes of a graph, and their constants."""

    nodes: list[onnx.NodeProto]
    constants: list[onnx.TensorProto]


@dataclass(frozen=True, kw_only=True)
class _Rows(_Part):
    """What rounds the rows of one tensor."""

    name: str
    """The tensor; what belongs to it is named after it."""
    factor: NDArray[np.float32]
    """What each column is divided by: (K,)."""
    zero_point: int
    outliers: NDArray[np.intp]
    """The columns that stay in FP32; none, mostly."""


def _rows(
    source: str,
    statistics: InputStatistics,
    weights: Sequence[NDArray[np.float32]],  # each (K, N)
    balance: float,
    skew: bool,
    worth_it: float,
) -> _Rows:
    factor = balanced(statistics.largest, np.concatenate(weights, axis=1), balance)
    inverse = (1 / factor).astype(np.float32)
    outliers = np.sort(np.argsort(-statistics.largest * inverse)[: len(factor) // _OUTLIERS])
    without = inverse.copy()
    without[outliers] = 0
    if _squared_step(statistics.sample * without) < worth_it * _squared_step(statistics.sample * inverse):
        inverse = without
    else:
        outliers = outliers[:0]
    zero = zero_point_of(statistics.sample * inverse) if skew else _ZERO_POINTS[-1]

    def constant(name: str, value: NDArray[Any]) -> onnx.TensorProto:
        return numpy_helper.from_array(value, f"{source}_{name}")

    def node(operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> onnx.NodeProto:
        named = [each if each == source else f"{source}_{each}" for each in inputs]
        return helper.make_node(operator, named, [f"{source}_{output}"], **attributes)

    constants = [
        constant("inverse_factor", inverse),
        constant("flat_shape", np.array([-1, len(factor)], np.int64)),
        constant("last", np.array([-1], np.int64)),
        constant("smallest", np.array(_SMALLEST, np.float32)),
        constant("step_above", np.array(1 / (_STEPS - zero), np.float32)),
        constant("step_below", np.array(-1 / zero, np.float32)),
        constant("zero_point", np.array(zero, np.uint8)),
    ]
    value = helper.make_tensor("value", onnx.TensorProto.UINT8, [1], [zero])
    nodes = [
        node("Reshape", [source, "flat_shape"], "flat"),  # (T, K)
        node("Mul", ["flat", "inverse_factor"], "balanced"),
        node("ReduceMax", ["balanced", "last"], "above", keepdims=0),  # (T,)
        node("ReduceMin", ["balanced", "last"], "below", keepdims=0),
        node("Mul", ["above", "step_above"], "scale_above"),
        node("Mul", ["below", "step_below"], "scale_below"),
        node("Max", ["scale_above", "scale_below", "smallest"], "scale"),
        node("Shape", ["scale"], "count"),
        node("ConstantOfShape", ["count"], "zeros", value=value),
        node("QuantizeLinear", ["balanced", "scale", "zeros"], "uint8", axis=0),
        node("Unsqueeze", ["scale", "last"], "row_scale"),  # (T, 1)
    ]
    if len(outliers):
        constants.append(constant("outlier_columns", outliers.astype(np.int64)))
        nodes.append(node("Gather", ["flat", "outlier_columns"], "outliers", axis=1))
    return _Rows(nodes=nodes, constants=constants, name=source, factor=factor, zero_point=zero, outliers=outliers)


def balanced(largest: NDArray[np.float32], weight: NDArray[np.float32], balance: float) -> NDArray[np.float32]:
    """What to divide each column of the input by, and to multiply its row of `weight` (K, N) with: (K,)."""
    of_input = np.maximum(largest, _SMALLEST)
    of_weight = np.maximum(np.abs(weight).max(1), _SMALLEST)
    return np.asarray(of_input**balance / of_weight ** (1 - balance), np.float32)


def zero_point_of(rows: NDArray[np.float32]) -> int:
    """What zero becomes where `rows` (m, K) are rounded with the smallest steps, on average."""
    return _ZERO_POINTS[int(np.argmin(_squared_steps(rows)))]


def _squared_step(rows: NDArray[np.float32]) -> float:
    """The mean squared step of rows (m, K) with the best zero point."""
    return min(_squared_steps(rows))


def _squared_steps(rows: NDArray[np.float32]) -> list[float]:
    """The mean squared step for each of the zero points."""
    above, below = np.maximum(rows.max(1), 0), np.maximum(-rows.min(1), 0)  # (m,)
    return [float(np.square(np.maximum(above / (_STEPS - zero), below / zero)).mean()) for zero in _ZERO_POINTS]


def _product(node: onnx.NodeProto, rows: _Rows, weight: NDArray[np.float32], products: NDArray[np.float64]) -> _Part:
    """What takes the place of `node`, a product with `weight` (K, N)."""
    name, source = node.output[0], rows.name
    free = np.ones(len(weight), bool)
    free[rows.outliers] = False
    factor = rows.factor[free]
    grown = weight[free] * factor[:, None]
    shrunk = products[np.ix_(free, free)] / np.outer(factor, factor)
    scale = column_scales(grown, shrunk)
    integers = np.zeros(weight.shape, np.int8)
    integers[free] = round_weights(grown, scale, shrunk)
    constants = [
        numpy_helper.from_array(integers, f"{name}_int8"),
        numpy_helper.from_array(scale, f"{name}_scale"),
        numpy_helper.from_array(np.array(1, np.float32), f"{name}_one"),
        numpy_helper.from_array(np.array([weight.shape[1]], np.int64), f"{name}_width"),
    ]
    inputs = [f"{source}_uint8", f"{name}_int8", f"{name}_one", f"{name}_scale", f"{source}_zero_point"]
    nodes = [
        helper.make_node("MatMulIntegerToFloat", inputs, [f"{name}_columns"], domain=_CONTRIB),
        helper.make_node("Mul", [f"{name}_columns", f"{source}_row_scale"], [f"{name}_integers"]),  # (T, N)
    ]
    flat = f"{name}_integers"
    if len(rows.outliers):
        constants.append(numpy_helper.from_array(np.ascontiguousarray(weight[rows.outliers]), f"{name}_fp32"))
        nodes.append(helper.make_node("MatMul", [f"{source}_outliers", f"{name}_fp32"], [f"{name}_beside"]))
        nodes.append(helper.make_node("Add", [flat, f"{name}_beside"], [f"{name}_both"]))
        flat = f"{name}_both"
    nodes += [
        # As many dimensions as the product had: those of the rows, and its own columns.
        helper.make_node("Shape", [source], [f"{name}_outer"], end=-1),
        helper.make_node("Concat", [f"{name}_outer", f"{name}_width"], [f"{name}_shape"], axis=0),
        helper.make_node("Reshape", [flat, f"{name}_shape"], [name]),
    ]
    return _Part(nodes=nodes, constants=constants)
