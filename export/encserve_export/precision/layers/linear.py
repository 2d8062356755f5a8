"""The linear layers of a graph, and what their inputs look like on calibration texts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

from encserve_export.attention.fused_attention import written_out
from encserve_export.errors import Unsupported
from encserve_export.network.graph_file import Pack

from .routers import routers

_FLOAT = onnx.TensorProto.FLOAT
_SAMPLED_ROWS = 64  # of those that are looked at together
_LOOKED_AT = 512
"""How many rows are looked at together at least, and as many as they are wide: a step of a decoder has few, and their
products are as large."""


@dataclass(frozen=True, kw_only=True)
class LinearLayer:
    """One product with a constant matrix."""

    node: onnx.NodeProto
    source: str
    """The tensor that it multiplies, float32 (..., K)."""
    weight: str
    """The initializer of its matrix, float32 (K, N)."""


@dataclass(frozen=True, kw_only=True)
class InputStatistics:
    """What a layer's input looks like, over all tokens of the calibration texts."""

    spread: NDArray[np.float64]
    """Sum over tokens of (x - mean) (x - mean)^T: (K, K). About the mean, as what a column does beside a large mean
    would be lost in the digits of that."""
    mean: NDArray[np.float64]
    """Of each column: (K,)."""
    tokens: int
    """How many there were."""
    least: NDArray[np.float32]
    """Smallest value of each column: (K,)."""
    most: NDArray[np.float32]
    """Largest value of each column: (K,)."""
    sample: NDArray[np.float32]
    """Some of the rows: (m, K)."""

    @property
    def products(self) -> NDArray[np.float64]:
        """Sum over tokens of x x^T: (K, K)."""
        return self.spread + self.tokens * np.outer(self.mean, self.mean)

    @property
    def largest(self) -> NDArray[np.float32]:
        """Largest absolute value of each column: (K,)."""
        return np.maximum(np.abs(self.least), np.abs(self.most))

    def products_of(self, shift: NDArray[np.float32], factor: NDArray[np.float32]) -> NDArray[np.float64]:
        """Sum over tokens of y y^T (K, K), where y = (x - shift) / factor; both (K,)."""
        away = self.mean - shift
        moved = self.spread + self.tokens * np.outer(away, away)
        return np.asarray(moved / np.outer(factor, factor))


def linear_layers(graph: onnx.GraphProto) -> list[LinearLayer]:
    """The products with a constant matrix, in the order in which they are computed; but for routers, which no precision
    rounds."""
    exact = routers(graph)
    matrices = {each.name for each in graph.initializer if len(each.dims) == 2 and each.data_type == _FLOAT}
    return [
        LinearLayer(node=node, source=node.input[0], weight=node.input[1])
        for node in graph.node
        if node.op_type == "MatMul"
        and node.input[1] in matrices
        and node.input[0] not in matrices
        and node.output[0] not in exact
    ]


def layers_by_source(layers: Sequence[LinearLayer]) -> dict[str, list[LinearLayer]]:
    """Layers that multiply the same tensor together, such as q, k and v, by that tensor."""
    sharing: dict[str, list[LinearLayer]] = {}
    for layer in layers:
        sharing.setdefault(layer.source, []).append(layer)
    return sharing


def weights_of(graph: onnx.GraphProto, layers: Sequence[LinearLayer]) -> dict[str, NDArray[np.float32]]:
    """The matrices (K, N) of layers, by name."""
    wanted = {layer.weight for layer in layers}
    return {each.name: numpy_helper.to_array(each) for each in graph.initializer if each.name in wanted}


def input_statistics(file: Path, layers: Sequence[LinearLayer], packs: Iterable[Pack]) -> dict[str, InputStatistics]:
    """Run `packs`, inputs of the graph in `file`, through it; statistics by the tensor that a layer multiplies.

    Raises:
        Unsupported: there are no layers.
    """
    if not layers:
        raise Unsupported("int8 is of linear layers, of which the network has none")
    seen: dict[str, RunningStatistics] = {}
    waiting: dict[str, list[NDArray[np.float32]]] = {}

    def look(source: str) -> None:
        rows = np.concatenate(waiting.pop(source))
        seen.setdefault(source, RunningStatistics(rows)).add(rows)

    for source, rows in _inputs_of(file, sorted({layer.source for layer in layers}), packs):
        waiting.setdefault(source, []).append(rows)
        if sum(map(len, waiting[source])) >= max(_LOOKED_AT, rows.shape[1]):
            look(source)
    for source in list(waiting):
        look(source)
    return {source: seen.pop(source).so_far() for source in list(seen)}


class RunningStatistics:
    """Statistics of rows that come in parts. Products are summed about a point near the mean, and moved to the mean at
    the end alone: of a wide layer they are 75 MB, which are gone through as seldom as may be.

    Args:
        rows: Whose mean that point is, (m, K).
    """

    def __init__(self, rows: NDArray[np.float32]) -> None:
        width = rows.shape[1]
        self._about = rows.mean(0, dtype=np.float64).astype(np.float32)
        self._products = np.zeros((width, width))
        self._sum = np.zeros(width)
        self._parts: list[NDArray[np.float32]] = []
        self._tokens = 0
        self._least, self._most = rows[0], rows[0]

    def add(self, rows: NDArray[np.float32]) -> None:
        """Look at some rows (m, K)."""
        away = rows - self._about
        self._products += away.T @ away
        self._sum += away.sum(0, dtype=np.float64)
        self._tokens += len(rows)
        self._least, self._most = np.minimum(self._least, rows.min(0)), np.maximum(self._most, rows.max(0))
        self._parts.append(rows[:: max(1, len(rows) // _SAMPLED_ROWS)].copy())

    def so_far(self) -> InputStatistics:
        """Of all rows that were looked at."""
        beside = self._sum / self._tokens
        return InputStatistics(
            spread=self._products - np.outer(self._sum, beside),
            mean=self._about + beside,
            tokens=self._tokens,
            least=self._least,
            most=self._most,
            sample=np.concatenate(self._parts),
        )


def _inputs_of(file: Path, sources: Sequence[str], packs: Iterable[Pack]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Each of `sources` as rows (m, K), pack after pack."""
    shown = onnx.load(file, load_external_data=False)  # which stays where it is
    del shown.graph.output[:]
    shown.graph.output.extend(onnx.helper.make_tensor_value_info(source, _FLOAT, None) for source in sources)
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".onnx") as beside:  # where external data is found
        beside.write(written_out(shown).SerializeToString())
        beside.flush()
        session = onnxruntime.InferenceSession(beside.name, providers=["CPUExecutionProvider"])
        for pack in packs:
            for source, value in zip(sources, session.run(list(sources), dict(pack)), strict=True):
                yield source, value.reshape(-1, value.shape[-1])


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove the initializers that no node reads any more."""
    read = {name for node in graph.node for name in node.input}
    kept = [each for each in graph.initializer if each.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
