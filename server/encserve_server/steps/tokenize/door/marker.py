"""A request of one token to the encode step, from the tokenize step itself; see `sent_requests`."""

from __future__ import annotations

from collections.abc import Sequence

import triton_python_backend_utils as pb_utils

from .one_token import one_token
from .sent_requests import Marked

_FULL = "Exceeds maximum queue size"
"""The words with which Triton says that a queue is full, where an operator has bounded it. The Python backend passes on
the words of that refusal, and not its code."""


class Marker:
    """Sends one text of one token to the encode step, as often as it is told.

    Args:
        model: The name of the encode step.
        version: The version of the encode step.
        inputs: The names of the inputs of the encode step.
        mask_id: The token id of a mask, where there are any.
    """

    def __init__(self, model: str, version: str, inputs: Sequence[str], mask_id: int | None) -> None:
        self._model = model
        self._version = int(version)
        self._inputs = one_token(inputs, mask_id)

    def send(self) -> Marked:
        """Wait for the answer, and return what became of the marker. Raises nothing."""
        try:
            request = pb_utils.InferenceRequest(
                model_name=self._model,
                model_version=self._version,
                inputs=[pb_utils.Tensor(name, value) for name, value in self._inputs.items()],
                requested_output_names=[],
            )
            response = request.exec()
            return _refused_or_failed(response.error()) if response.has_error() else Marked.COMPUTED
        except Exception as error:  # a server that closes
            pb_utils.Logger.log_verbose(f"a marker was not sent: {error}")
            return Marked.FAILED


def _refused_or_failed(error: pb_utils.TritonError) -> Marked:
    refused = error.code() == pb_utils.TritonError.UNAVAILABLE or _FULL in error.message()
    return Marked.REFUSED if refused else Marked.FAILED
