"""The encode step of the local backend: packed token ids in, one pooled vector for each text out."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from .packed_session import PackedSession
from .replies import failed, reply
from .step_settings import check_sha256, read_settings


class TritonPythonModel:
    """Runs the texts of all requests of a batch together, sorted by length."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Load the graph, after checking that it is the certified one."""
        folder = Path(__file__).parent
        settings = read_settings(folder)
        for file, digest in settings["graph_sha256"].items():
            check_sha256(folder / file, digest)
        self._session = PackedSession(folder / "model.onnx", token_budget=settings["token_budget"])
        family = pb_utils.MetricFamily(
            name="encserve_nonfinite_texts",
            description="Texts answered with an error because their vector held NaN or infinity",
            kind=pb_utils.MetricFamily.COUNTER,
        )
        self._nonfinite = family.Metric(labels={"model": args["model_name"], "version": args["model_version"]})
        self._family = family  # the metric lives as long as its family

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request with the vectors of its own texts; a vector that is not finite is never an answer."""
        texts_of = [_texts(request) for request in requests]
        vectors = self._session.run(list(chain.from_iterable(texts_of)))  # (all texts, H)
        responses = []
        end = 0
        for texts in texts_of:
            begin, end = end, end + len(texts)
            responses.append(self._answer(vectors[begin:end]))
        return responses

    def _answer(self, vectors: NDArray[np.float32]) -> Any:
        nonfinite = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(nonfinite):
            self._nonfinite.increment(len(nonfinite))
            return failed(f"the vectors of texts {nonfinite.tolist()} of this request hold NaN or infinity")
        return reply(**{self._session.output: vectors[None]})  # (1, n, H)

    def finalize(self) -> None:
        """Stop the threads."""
        self._session.close()


def _texts(request: Any) -> list[NDArray[np.int64]]:
    """The token ids of each text of a request."""
    input_ids = pb_utils.get_input_tensor_by_name(request, "input_ids").as_numpy()[0]  # (T,)
    lengths = pb_utils.get_input_tensor_by_name(request, "lengths").as_numpy()[0]  # (n,)
    return np.split(input_ids, np.cumsum(lengths)[:-1])
