"""A graph on disk: one ONNX file, and beside it a second one with the weights where one file cannot hold them."""

from __future__ import annotations

from pathlib import Path

import onnx

EXTERNAL_ABOVE_BYTES = 1_900_000_000  # a protobuf message ends at 2 GiB
_DATA = ".data"


def read_graph_file(file: Path) -> onnx.ModelProto:
    """The graph, its weights in memory wherever they lie."""
    return onnx.load(file)


def remove_graph_file(file: Path) -> None:
    """Remove the graph with its weights, wherever they lie."""
    file.unlink()
    file.with_name(file.name + _DATA).unlink(missing_ok=True)


def write_graph_file(graph: onnx.ModelProto, file: Path) -> None:
    """Write the graph in place of what `file` held; large weights go to a second file named after it."""
    data = file.with_name(file.name + _DATA)
    data.unlink(missing_ok=True)  # onnx appends to it
    weights = sum(len(tensor.raw_data) for tensor in graph.graph.initializer)
    onnx.save(graph, file, save_as_external_data=weights > EXTERNAL_ABOVE_BYTES, location=data.name)
