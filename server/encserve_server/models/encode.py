"""The encode step of the local backend: packed token ids in, numbers for each text, token or mask out."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from .packed_session import PackedSession
from .replies import failed, reply
from .request_columns import columns_of
from .step_settings import check_sha256, read_settings


class TritonPythonModel:
    """Runs the texts of all requests of a batch together, sorted by length."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Load the graph, after checking that it is the certified one."""
        folder = Path(__file__).parent
        settings = read_settings(folder)
        for file, digest in settings["graph_sha256"].items():
            check_sha256(folder / file, digest)
        self._inputs = settings["tensors"]
        self._session = PackedSession(
            folder / "model.onnx", follows=settings["follows"], token_budget=settings["token_budget"]
        )
        family = pb_utils.MetricFamily(
            name="encserve_nonfinite_texts",
            description="Texts answered with an error because what the network gave for them held NaN or infinity",
            kind=pb_utils.MetricFamily.COUNTER,
        )
        self._nonfinite = family.Metric(labels={"model": args["model_name"], "version": args["model_version"]})
        self._family = family  # the metric lives as long as its family

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request with the rows of its own texts; a row that is not finite is never an answer."""
        each = [columns_of(_tensors(request, self._inputs)) for request in requests]
        together = {name: list(chain.from_iterable(columns[name] for columns in each)) for name in each[0]}
        rows = self._session.run(together)  # (all rows, W)
        responses = []
        end = 0
        for columns in each:
            sizes = self._session.rows_of(columns)  # (n,)
            begin, end = end, end + int(sizes.sum())
            responses.append(self._answer(rows[begin:end], sizes))
        return responses

    def _answer(self, rows: NDArray[np.float32], sizes: NDArray[np.int64]) -> Any:
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            texts = np.unique(np.repeat(np.arange(len(sizes)), sizes)[~finite])
            self._nonfinite.increment(len(texts))
            return failed(f"what the network gave for texts {texts.tolist()} of this request holds NaN or infinity")
        return reply(**{self._session.output: rows[None]})  # (1, rows, W)

    def finalize(self) -> None:
        """Stop the threads."""
        self._session.close()


def _tensors(request: Any, names: list[str]) -> dict[str, NDArray[np.int64]]:
    return {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy()[0] for name in names}
