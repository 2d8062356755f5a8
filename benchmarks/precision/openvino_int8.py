"""Weights in 8 bits for OpenVINO, which rounds activations to 8 bits in groups as it computes.

Measured beside what encserve offers; not offered, for what docs/precision.md says.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from encserve_export.network.graph_file import read_graph_file, write_graph_file
from encserve_export.precision.layers.linear import drop_unused, input_statistics, linear_layers, weights_of
from encserve_export.precision.rounding.weights import column_scales, round_weights
from encserve_export.precision.whole_blocks import attend_in_whole_blocks
from encserve_export.texts.calibration import Calibration


def compress_weights(graph: Path, calibration: Calibration) -> None:
    """Replace the matrix of each linear layer of the graph file by integers and one scale a column."""
    model = read_graph_file(graph)
    layers = linear_layers(model.graph)
    statistics = input_statistics(graph, layers, calibration.packs)
    weights = weights_of(model.graph, layers)
    for layer in layers:
        products = statistics[layer.source].products
        scale = column_scales(weights[layer.weight], products)
        _dequantize(model.graph, layer.node, round_weights(weights[layer.weight], scale, products), scale)
    drop_unused(model.graph)
    attend_in_whole_blocks(model)
    write_graph_file(model, graph)


def _dequantize(
    graph: onnx.GraphProto, node: onnx.NodeProto, integers: NDArray[np.int8], scale: NDArray[np.float32]
) -> None:
    name = node.output[0]
    graph.initializer.extend(
        [
            numpy_helper.from_array(integers, f"{name}_int8"),
            numpy_helper.from_array(scale, f"{name}_scale"),
        ]
    )
    place = next(place for place, each in enumerate(graph.node) if each is node or each == node)
    graph.node.insert(
        place, helper.make_node("DequantizeLinear", [f"{name}_int8", f"{name}_scale"], [f"{name}_weight"], axis=1)
    )
    node.input[1] = f"{name}_weight"
