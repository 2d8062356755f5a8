"""The linear layers of a graph, and what their inputs look like on calibration texts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

from .calibration import Calibration
from .fused_attention import written_out

_FLOAT = onnx.TensorProto.FLOAT
_SAMPLED_ROWS = 64  # of each pack


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

    products: NDArray[np.float64]
    """Sum over tokens of x x^T: (K, K)."""
    total: NDArray[np.float64]
    """Sum over tokens of x: (K,)."""
    tokens: int
    """How many there were."""
    least: NDArray[np.float32]
    """Smallest value of each column: (K,)."""
    most: NDArray[np.float32]
    """Largest value of each column: (K,)."""
    sample: NDArray[np.float32]
    """Some of the rows: (m, K)."""

    @property
    def largest(self) -> NDArray[np.float32]:
        """Largest absolute value of each column: (K,)."""
        return np.maximum(np.abs(self.least), np.abs(self.most))


def linear_layers(graph: onnx.GraphProto) -> list[LinearLayer]:
    """The products with a constant matrix, in the order in which they are computed."""
    matrices = {each.name for each in graph.initializer if len(each.dims) == 2 and each.data_type == _FLOAT}
    return [
        LinearLayer(node=node, source=node.input[0], weight=node.input[1])
        for node in graph.node
        if node.op_type == "MatMul" and node.input[1] in matrices and node.input[0] not in matrices
    ]


def weights_of(graph: onnx.GraphProto, layers: Sequence[LinearLayer]) -> dict[str, NDArray[np.float32]]:
    """The matrices (K, N) of layers, by name."""
    wanted = {layer.weight for layer in layers}
    return {each.name: numpy_helper.to_array(each) for each in graph.initializer if each.name in wanted}


def input_statistics(file: Path, layers: Sequence[LinearLayer], calibration: Calibration) -> dict[str, InputStatistics]:
    """Run the calibration texts through the graph in `file`; statistics by the tensor that a layer multiplies."""
    seen: dict[str, list[InputStatistics]] = {}
    for source, rows in _inputs_of(file, sorted({layer.source for layer in layers}), calibration):
        seen.setdefault(source, []).append(_statistics_of(rows))
        seen[source] = [_together(seen[source])]
    return {source: statistics for source, (statistics,) in seen.items()}


def _statistics_of(rows: NDArray[np.float32]) -> InputStatistics:
    return InputStatistics(
        products=(rows.T @ rows).astype(np.float64),
        total=rows.sum(0, dtype=np.float64),
        tokens=len(rows),
        least=rows.min(0),
        most=rows.max(0),
        sample=rows[:: max(1, len(rows) // _SAMPLED_ROWS)].copy(),
    )


def _together(parts: Sequence[InputStatistics]) -> InputStatistics:
    return InputStatistics(
        products=np.sum([part.products for part in parts], axis=0),
        total=np.sum([part.total for part in parts], axis=0),
        tokens=sum(part.tokens for part in parts),
        least=np.min([part.least for part in parts], axis=0),
        most=np.max([part.most for part in parts], axis=0),
        sample=np.concatenate([part.sample for part in parts]),
    )


def _inputs_of(
    file: Path, sources: Sequence[str], calibration: Calibration
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Each of `sources` as rows (m, K), pack after pack."""
    shown = onnx.load(file, load_external_data=False)  # which stays where it is
    del shown.graph.output[:]
    shown.graph.output.extend(onnx.helper.make_tensor_value_info(source, _FLOAT, None) for source in sources)
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".onnx") as beside:  # where external data is found
        beside.write(written_out(shown).SerializeToString())
        beside.flush()
        session = onnxruntime.InferenceSession(beside.name, providers=["CPUExecutionProvider"])
        for pack in calibration.packs:
            for source, value in zip(sources, session.run(list(sources), pack), strict=True):
                yield source, value.reshape(-1, value.shape[-1])


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove the initializers that no node reads any more."""
    read = {name for node in graph.node for name in node.input}
    kept = [each for each in graph.initializer if each.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
