"""A graph whose linear layers multiply integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import onnx

from .linear import drop_unused


class RoundedInput(Protocol):
    """A tensor that linear layers multiply, with their matrices as integers."""

    @property
    def name(self) -> str:
        """Of the tensor."""

    @property
    def weights(self) -> Mapping[str, Any]:
        """Output of a layer -> its matrix."""


Source = TypeVar("Source", bound=RoundedInput)


def with_products_of_integers(
    full: onnx.ModelProto,
    sources: Sequence[Source],
    *,
    add_rows: Callable[[onnx.GraphProto, Source], None],
    add_product: Callable[[onnx.GraphProto, onnx.NodeProto, Source], None],
) -> onnx.ModelProto:
    """A copy of the FP32 graph in which other nodes take the place of the layers behind `sources`.

    Args:
        full: the graph.
        sources: of the layers that are replaced.
        add_rows: adds what rounds the rows of a source, which is done once, before the first of its layers.
        add_product: adds what takes the place of the node of a layer.
    """
    model = onnx.ModelProto()
    model.CopyFrom(full)
    behind = {output: source for source in sources for output in source.weights}
    begun: set[str] = set()
    del model.graph.node[:]
    for node in full.graph.node:
        source = behind.get(node.output[0])
        if source is None:
            model.graph.node.append(node)
            continue
        if source.name not in begun:
            begun.add(source.name)
            add_rows(model.graph, source)
        add_product(model.graph, node, source)
    drop_unused(model.graph)
    return model
