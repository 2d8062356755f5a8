"""Which module loads a graph into which runtime. A host needs the runtime of its version alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"
"""The environment variable without which ONNX Runtime 1.31 keeps a database of what it has loaded, and sends it to its
maker. Whoever sets it to something else has said so."""


class Network(Protocol):
    """A graph in a runtime."""

    def run(self, feed: Mapping[str, NDArray[np.int64]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """What the graph gives for its inputs, by name, in the order of `outputs`; from any thread."""


def load_network(
    runtime: str, graph: Path, hints: Mapping[str, str], *, side_by_side: int, threads: int = 1, arena: bool = False
) -> Network:
    """Load `graph`, told `hints`, for so many calls `side_by_side`, whose operators share `threads` each. The C library
    has the memory of what is computed, where the runtime leaves the choice and no `arena` is asked for.

    Raises:
        ValueError: There is no such runtime.
    """
    match runtime:
        case "onnxruntime":
            os.environ.setdefault(NO_TELEMETRY, "1")  # it looks when it is imported
            from .onnxruntime_network import OnnxRuntimeNetwork

            return OnnxRuntimeNetwork(graph, hints, side_by_side=side_by_side, threads=threads, arena=arena)
        case "openvino":
            from .openvino_network import OpenVinoNetwork

            return OpenVinoNetwork(graph, hints, side_by_side=side_by_side, threads=threads)
    raise ValueError(f"runtime {runtime!r} is none of onnxruntime, openvino")
