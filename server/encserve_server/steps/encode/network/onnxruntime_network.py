"""A packed graph in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ..host.cores import kept_on, own_cores
from ..host.cpu_flags import VNNI, lacks, read_cpu_flags

SLOW_FUSIONS = ("SkipLayerNormFusion", "BiasGeluFusion")
"""Fusions of ONNX Runtime 1.31 whose CPU kernels are slower than the operators that they replace: without them a packed
MiniLM runs 8 to 15 % faster on one core."""


def exact_integer_sums(options: onnxruntime.SessionOptions, flags: frozenset[str]) -> None:
    """Have sums of 8-bit products be exact on a processor with these flags.

    Without VNNI two products are added up in 16 bits, which overflow unless the option is set. With VNNI sums are exact
    anyway, and the option would choose other kernels: with AMX, ones that take ten times as long.
    """
    if lacks(flags, VNNI):
        options.add_session_config_entry("session.x64quantprecision", "1")


class OnnxRuntimeNetwork:
    """One session, which any number of threads may run at the same time."""

    def __init__(
        self, graph: Path, hints: Mapping[str, str], *, side_by_side: int, threads: int = 1, arena: bool = False
    ) -> None:
        """Load `graph`, whose operators share `threads`, each on a core of its own where they need all. ONNX Runtime
        takes no `hints`: its precision stands in the graph; and it takes any number of calls `side_by_side`.

        Without an `arena` it asks the C library for memory. An arena grows by doubling, is never given back, and each
        session has one: where no two micro-batches are alike it comes to several times what is in use.
        """
        options = onnxruntime.SessionOptions()
        options.enable_cpu_mem_arena = arena
        options.enable_mem_pattern = arena  # a plan of the memory for each shape that ever came
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._cores = own_cores(threads)
        if self._cores:  # ONNX Runtime counts them from 1, and the first is the caller's
            others = ";".join(str(core + 1) for core in self._cores[1:])
            options.add_session_config_entry("session.intra_op_thread_affinities", others)
        # Threads that wait for the next operator spin, and must not go on when the last has ended.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        exact_integer_sums(options, read_cpu_flags())
        self._session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=list(SLOW_FUSIONS)
        )
        # A graph with several heads computes those that are asked for.
        self._only_what_is_asked_for = onnxruntime.RunOptions()
        self._only_what_is_asked_for.only_execute_path_to_fetches = len(self._session.get_outputs()) > 1

    def run(self, feed: Mapping[str, NDArray[np.int64]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Return what the graph computes from its inputs, by name, in the order of `outputs`."""
        with kept_on(self._cores[:1]):
            return list(self._session.run(outputs, feed, self._only_what_is_asked_for))
