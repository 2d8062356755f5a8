"""Which module loads a graph into which runtime. A host needs the runtime of its version alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Network(Protocol):
    """A graph in a runtime."""

    def run(self, feed: Mapping[str, NDArray[np.int64]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """What the graph gives for its inputs, by name, in the order of `outputs`; from any thread."""


def load_network(
    runtime: str, graph: Path, hints: Mapping[str, str], *, side_by_side: int, threads: int = 1
) -> Network:
    """Load `graph`, told `hints`, for so many calls `side_by_side`, whose operators share `threads` each.

    Raises:
        ValueError: There is no such runtime.
    """
    match runtime:
        case "onnxruntime":
            from .onnxruntime_network import OnnxRuntimeNetwork

            return OnnxRuntimeNetwork(graph, hints, side_by_side=side_by_side, threads=threads)
        case "openvino":
            from .openvino_network import OpenVinoNetwork

            return OpenVinoNetwork(graph, hints, side_by_side=side_by_side, threads=threads)
    raise ValueError(f"runtime {runtime!r} is none of onnxruntime, openvino")
