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
        self._outputs = list(settings["follows"])
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
        """Answer each request with the rows of its own texts; a row that is not finite is never an answer.

        All texts go through the encoder together. A pipeline asks for the output of its own head.
        """
        each = [columns_of(_tensors(request, self._inputs)) for request in requests]
        together = {name: list(chain.from_iterable(columns[name] for columns in each)) for name in each[0]}
        asked = [set(request.requested_output_names()) for request in requests]
        outputs = [output for output in self._outputs if any(output in names for names in asked)]
        rows = self._session.run(together, outputs)  # each (all rows, W)
        responses = []
        ends = dict.fromkeys(outputs, 0)
        for columns, names in zip(each, asked, strict=True):
            own, bad = {}, np.zeros(len(columns["input_ids"]), bool)
            for output in outputs:
                sizes = self._session.rows_of(columns, output)  # (n,)
                begin, ends[output] = ends[output], ends[output] + int(sizes.sum())
                if output in names:
                    own[output] = rows[output][begin : ends[output]]
                    finite = np.isfinite(own[output]).all(axis=1)
                    bad[np.repeat(np.arange(len(sizes)), sizes)[~finite]] = True
            responses.append(self._answer(own, np.flatnonzero(bad)))
        return responses

    def _answer(self, rows: dict[str, NDArray[np.float32]], bad: NDArray[np.intp]) -> Any:
        if len(bad):
            self._nonfinite.increment(len(bad))
            return failed(f"what the network gave for texts {bad.tolist()} of this request holds NaN or infinity")
        return reply(**{output: own[None] for output, own in rows.items()})  # (1, rows, W)

    def finalize(self) -> None:
        """Stop the threads."""
        self._session.close()


def _tensors(request: Any, names: list[str]) -> dict[str, NDArray[np.int64]]:
    return {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy()[0] for name in names}
