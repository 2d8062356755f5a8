"""A packed graph in OpenVINO."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray


class OpenVinoNetwork:
    """One compiled graph with a stream for each of the calls that run side by side."""

    def __init__(self, graph: Path, hints: Mapping[str, str], *, side_by_side: int, threads: int = 1) -> None:
        """Load `graph` as the certified `hints` say, properties of OpenVINO by name; each stream has `threads`.

        Raises:
            RuntimeError: OpenVINO would compute in another way than the certified one.
        """
        streams = {
            "NUM_STREAMS": str(side_by_side),
            "INFERENCE_NUM_THREADS": str(side_by_side * threads),
            "ENABLE_CPU_PINNING": "NO",
        }
        self._compiled = _compiled(graph, {**hints, **streams})
        for name, value in hints.items():
            taken = self._compiled.get_property(name)
            if _text(taken) != value:
                raise RuntimeError(f"OpenVINO {openvino.__version__} takes {name} as {_text(taken)}, not as {value}")
        _make_tables_of_dtypes()
        self._places = {name: place for place, each in enumerate(self._compiled.outputs) for name in each.names}
        self._of_thread = threading.local()

    def run(self, feed: Mapping[str, NDArray[np.int64]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Return what the graph computes from its inputs, by name, in the order of `outputs`; all outputs are
        computed."""
        if not hasattr(self._of_thread, "request"):
            self._of_thread.request = self._compiled.create_infer_request()
        request = self._of_thread.request
        request.infer(dict(feed), share_inputs=True, share_outputs=True)
        return [request.get_output_tensor(self._places[output]).data.copy() for output in outputs]


def _compiled(graph: Path, properties: Mapping[str, str]) -> openvino.CompiledModel:
    """Compile a graph, in a thread of its own.

    OpenVINO gives the thread that compiles a stack for its signals, and when a network is closed it gives that thread
    back the stack from before: one that is gone, where networks are not closed in the opposite order of their opening.
    The next signal would then kill the process. A thread that has ended gets no signal.
    """
    with ThreadPoolExecutor(1, "compile") as thread:
        return thread.submit(openvino.Core().compile_model, graph, "CPU", dict(properties)).result()


def _make_tables_of_dtypes() -> None:
    """Have OpenVINO make its tables of dtypes now, in one thread.

    It makes them when they are first needed, in C++ that lets one thread do so and lets go of Python's lock meanwhile.
    Of two threads that need them first at the same moment, each would wait for ever for the lock that the other has.
    """
    _ = openvino.Tensor(np.zeros(1, np.int64), shared_memory=True).element_type.to_dtype()


def _text(value: Any) -> str:
    """Return a property as it is written: bf16 for openvino.Type.bf16, 32 for 32."""
    return value.get_type_name() if isinstance(value, openvino.Type) else str(value)
