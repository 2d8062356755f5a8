"""A graph in ONNX Runtime on the GPU of this host, with the options that Triton's backend gets: for the certificate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from encserve_server.models.packed_session import Columns

from .batched_session import BatchedSession, packed
from .config import Precision
from .errors import CertificateFailed
from .onnxruntime_backend import cuda_options

PROVIDER = "CUDAExecutionProvider"
_MAX_TEXTS, _MAX_TOKENS = 256, 16_384
"""Of a batch."""


def why_no_cuda() -> str:
    """Why ONNX Runtime has no GPU on this host, in words; empty if it has one."""
    if PROVIDER not in onnxruntime.get_available_providers():
        return f"the installed onnxruntime {onnxruntime.__version__} has no CUDA; that of onnxruntime-gpu has"
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    nothing = helper.make_node("Identity", ["x"], ["y"])
    graph = helper.make_graph(
        [nothing], "nothing", [value], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    cannot = f"ONNX Runtime {onnxruntime.__version__} cannot use a GPU here"
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=[PROVIDER])
    except Exception as error:  # ONNX Runtime's exceptions have no base of their own
        return f"{cannot}: {error}"
    return "" if PROVIDER in session.get_providers() else f"{cannot}; what it wrote above says why"


class CudaSession(BatchedSession):
    """One graph."""

    def __init__(self, graph: Path, precision: Precision, *, follows: Mapping[str, str]) -> None:
        """Load `graph`. Raises CertificateFailed: ONNX Runtime does not take it on a GPU."""
        super().__init__(follows, max_texts=_MAX_TEXTS, max_tokens=_MAX_TOKENS)
        try:
            self._session = open_on_cuda(graph, cuda_options(precision))
        except Exception as error:  # ONNX Runtime's exceptions have no base of their own
            raise CertificateFailed(f"ONNX Runtime does not load the graph on CUDA: {error}") from error

    def run_pack(self, columns: Columns, outputs: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Compute all texts in one batch: (rows, W) of each of `outputs`."""
        try:
            return dict(zip(outputs, self._session.run(outputs, packed(columns)), strict=True))
        except Exception as error:  # ONNX Runtime's exceptions have no base of their own
            raise CertificateFailed(f"ONNX Runtime does not run the graph on CUDA: {error}") from error


def open_on_cuda(graph: Path, options: Mapping[str, str]) -> onnxruntime.InferenceSession:
    """A session in which nodes run on CUDA, and on the CPU those that CUDA has no kernel for.

    Raises:
        RuntimeError: it runs on the CPU alone, which ONNX Runtime falls back to and which would certify another thing.
    """
    session = onnxruntime.InferenceSession(graph, providers=[(PROVIDER, dict(options)), "CPUExecutionProvider"])
    session.disable_fallback()  # also while it runs
    if PROVIDER not in session.get_providers():
        raise RuntimeError("it fell back to the CPU; what ONNX Runtime wrote above says why")
    return session
