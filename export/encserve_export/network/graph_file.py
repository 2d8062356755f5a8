"""A graph on disk: one ONNX file, and beside it a second one with the weights where one file cannot hold them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from encserve_export.attention.fused_attention import written_out
from encserve_server.steps.encode.host.cpu_flags import read_cpu_flags
from encserve_server.steps.encode.network.onnxruntime_network import exact_integer_sums

EXTERNAL_ABOVE_BYTES = 1_900_000_000  # a protobuf message ends at 2 GiB
_DATA = ".data"

Pack = Mapping[str, NDArray[np.int64]]
"""Inputs of a graph by name, for some texts together."""


def read_graph_file(file: Path) -> onnx.ModelProto:
    """The graph, its weights in memory wherever they lie."""
    return onnx.load(file)


def remove_graph_file(file: Path) -> None:
    """Remove the graph with its weights, wherever they lie."""
    file.unlink()
    file.with_name(file.name + _DATA).unlink(missing_ok=True)


def write_graph_file(graph: onnx.ModelProto, file: Path) -> None:
    """Write the graph in place of what `file` held; large weights go to a second file named after it.

    They leave `graph`, which is of no use afterwards.
    """
    data = file.with_name(file.name + _DATA)
    data.unlink(missing_ok=True)  # onnx appends to it
    onnx.save(graph, file, save_as_external_data=_is_large(graph), location=data.name)


def session_of(graph: onnx.ModelProto, options: onnxruntime.SessionOptions = None) -> onnxruntime.InferenceSession:
    """A session of a graph in memory, on the CPU; a large one goes through a file for a while."""
    graph, options = written_out(graph), options or onnxruntime.SessionOptions()
    exact_integer_sums(options, read_cpu_flags())  # as served
    if not _is_large(graph):
        return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    with TemporaryDirectory(prefix="encserve-graph-") as folder:
        file, copy = Path(folder) / "model.onnx", onnx.ModelProto()
        copy.CopyFrom(graph)
        write_graph_file(copy, file)
        return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def _is_large(graph: onnx.ModelProto) -> bool:
    return sum(len(tensor.raw_data) for tensor in graph.graph.initializer) > EXTERNAL_ABOVE_BYTES
