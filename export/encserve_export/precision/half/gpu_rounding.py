"""An fp16 graph that rounds on a CPU as it does on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from encserve_export.network.graph_file import read_graph_file, write_graph_file

_AXIS = "axis_of_rounding"


@contextmanager
def as_gpus_round(graph: Path) -> Iterator[Path]:
    """A folder with a copy of the fp16 `graph` that rounds on a CPU as a GPU does, for a while."""
    with TemporaryDirectory(prefix="encserve-fp16-") as folder:
        write_graph_file(strictly_rounded(read_graph_file(graph)), Path(folder) / graph.name)
        yield Path(folder)


def strictly_rounded(model: onnx.ModelProto) -> onnx.ModelProto:
    """A graph that computes the same, and rounds every fp16 tensor on a CPU too.

    ONNX Runtime has no arithmetic in fp16 there. It computes in FP32 and drops the pairs of Casts in between, so that
    nothing overflows that would on a GPU. What goes through Unsqueeze and Squeeze, which know fp16, is rounded.
    """
    strict = onnx.ModelProto()
    strict.CopyFrom(model)
    _round(strict.graph)
    strict.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.int64), _AXIS))
    return strict


def _round(graph: onnx.GraphProto) -> None:
    """Round what the nodes of a graph give, and those of the loops in it."""
    halves = {value.name for value in graph.value_info if value.type.tensor_type.elem_type == TensorProto.FLOAT16}
    nodes = list(graph.node)
    del graph.node[:]
    for original in nodes:
        node = graph.node.add()
        node.CopyFrom(original)
        for attribute in node.attribute:
            if attribute.type == attribute.GRAPH:
                _round(attribute.g)
        for index, name in enumerate(original.output):
            if name in halves:
                node.output[index] = f"{name}_unrounded"
                graph.node.extend(
                    [
                        helper.make_node("Unsqueeze", [node.output[index], _AXIS], [f"{name}_unsqueezed"]),
                        helper.make_node("Squeeze", [f"{name}_unsqueezed", _AXIS], [name]),
                    ]
                )
