"""A graph on disk: one ONNX file, and beside it a second one with large tables, or with all weights where one file
cannot hold them.

ONNX Runtime maps what lies in the second file, and copies what lies in the first. A table that is only looked up, as
that of the words is, stays as it is mapped: the two sessions of an encode step, and other processes with the same file,
have it once, and a start does not wait for it to be copied. Weights of products are laid out anew by each session,
wherever they lie.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx.external_data_helper import set_external_data

from encserve_repository.manifest import sha256_of

EXTERNAL_ABOVE_BYTES = 1_900_000_000  # a protobuf message ends at 2 GiB
TABLE_BYTES = 4_000_000
"""A table that is only looked up and has so many bytes lies in the second file."""
_DATA = ".data"

Pack = Mapping[str, NDArray[Any]]
"""Inputs of a graph by name, for some texts together."""


def read_graph_file(file: Path) -> onnx.ModelProto:
    """The graph, its weights in memory wherever they lie."""
    return onnx.load(file)


def remove_graph_file(file: Path) -> None:
    """Remove the graph with its weights, wherever they lie."""
    file.unlink()
    file.with_name(file.name + _DATA).unlink(missing_ok=True)


def write_graph_file(graph: onnx.ModelProto, file: Path) -> None:
    """Write the graph in place of what `file` held; large tables, or large weights, go to a second file named after it.

    They leave `graph`, which is of no use afterwards.
    """
    data = file.with_name(file.name + _DATA)
    data.unlink(missing_ok=True)  # onnx appends to it
    large = is_large(graph)
    if not large:
        for table in looked_up(graph.graph):
            if len(table.raw_data) >= TABLE_BYTES:
                set_external_data(table, location=data.name)
    onnx.save(graph, file, save_as_external_data=large, location=data.name)
    if data.exists():  # onnx lets nobody but its owner read it, and a server may have another user
        data.chmod(stat.S_IMODE(file.stat().st_mode))


def looked_up(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    """The tensors of a graph of which nothing but rows is ever taken, in the graph or in the bodies of its loops."""
    tables, others = set[str](), {output.name for output in graph.output}
    for node in _nodes(graph):
        rows = node.op_type == "Gather" and all(each.name != "axis" or each.i == 0 for each in node.attribute)
        tables.update(node.input[:1] if rows else ())
        others.update(node.input[1:] if rows else node.input)
    return [tensor for tensor in graph.initializer if tensor.name in tables - others]


def mapped_bytes(file: Path) -> int:
    """Bytes of a graph's tables that lie in the second file, of which a session has no copy of its own."""
    graph = onnx.load(file, load_external_data=False).graph
    entries = [each for table in looked_up(graph) for each in table.external_data]
    return sum(int(each.value) for each in entries if each.key == "length")


def graph_digests(file: Path) -> dict[str, str]:
    """File name -> SHA-256, of the graph and of the second file where there is one."""
    data = file.with_name(file.name + _DATA)
    return {each.name: sha256_of(each) for each in (file, data) if each.exists()}


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from _nodes(body)


def is_large(graph: onnx.ModelProto) -> bool:
    """Whether one message cannot hold the graph with its weights."""
    return sum(len(tensor.raw_data) for tensor in graph.graph.initializer) > EXTERNAL_ABOVE_BYTES
