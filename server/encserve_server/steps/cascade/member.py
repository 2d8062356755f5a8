"""One of the two pipelines of a cascade, asked from within the server."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from ..request.replies import error_kind
from .refusals import Refusal, refusal_of

_ANY_VERSION = -1
_MANIFEST = "manifest.json"


class MemberRefused(Exception):
    """A request has no answer of a pipeline, which the message names where it was asked."""

    def __init__(self, kind: Refusal, message: str, *, role: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.role = role
        """What the pipeline is in the cascade; empty where none was asked."""


class NotAsFitted(Exception):
    """A pipeline is not what the cascade was fitted to; the message names it and what helps."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a request asks of a pipeline."""

    inputs: Mapping[str, Sequence[bytes]]
    """The texts, by input."""
    parameters: Mapping[str, Any]
    """The options that the caller gave."""
    request_id: str
    timeout_s: float
    """Seconds that are left; 0 for ever."""

    @property
    def texts(self) -> int:
        """Return how many texts, or pairs of texts, it is about."""
        return max(map(len, self.inputs.values()))


class Member:
    """A pipeline in the version that the cascade was fitted to.

    Args:
        role: What it is in the cascade, "small" or "large".
        stated: Its `model`, `version` and `certificate`, from the settings.
        outputs: The outputs that are asked for.
    """

    def __init__(self, role: str, stated: Mapping[str, Any], outputs: Sequence[str]) -> None:
        self.model = str(stated["model"])
        self.version = int(stated["version"])
        self._certificate = str(stated["certificate"])
        self.role = role
        self._outputs = list(outputs)

    def check(self, repository: Path) -> None:
        """Hold the manifest of the version in a repository against the certificate.

        Raises:
            NotAsFitted: it is another one, or not there.
        """
        manifest = repository / self.model / str(self.version) / _MANIFEST
        try:
            found = hashlib.sha256(manifest.read_bytes()).hexdigest()
        except OSError as error:
            raise self._changed("whose manifest cannot be read") from error
        if found != self._certificate:
            raise self._changed("which is another one now")

    def ask(self, question: Question) -> dict[str, NDArray[Any]]:
        """Return the outputs without their leading dimension, (n, ...).

        Raises:
            MemberRefused: the pipeline answered with an error.
            NotAsFitted: the server serves another version.
        """
        try:
            return self._answer(self.version, question)
        except MemberRefused:
            if pb_utils.is_model_ready(self.model, str(self.version)):
                raise
            raise self._changed("which the server does not serve now") from None

    def ask_any_version(self, question: Question) -> dict[str, NDArray[Any]]:
        """Ask for the sake of a question of health: whatever version there is. Raises MemberRefused."""
        return self._answer(_ANY_VERSION, question)

    def give_up(self, request_id: str, inputs: Sequence[str]) -> None:
        """Tell the pipeline that the caller of a request has given it up. What it answers does not matter."""
        nothing = {name: [b""] for name in inputs}
        question = Question(inputs=nothing, parameters={"cancel": request_id}, request_id="", timeout_s=0)
        self._exec(_ANY_VERSION, question)

    def _answer(self, version: int, question: Question) -> dict[str, NDArray[Any]]:
        response = self._exec(version, question)
        if response.has_error():
            message = response.error().message()
            words = f"{self.role} pipeline {self.model}: {self._plain(message)}"
            raise MemberRefused(refusal_of(error_kind(response), message), words, role=self.role)
        return {tensor.name(): tensor.as_numpy()[0] for tensor in response.output_tensors()}

    def _exec(self, version: int, question: Question) -> Any:
        request = pb_utils.InferenceRequest(
            model_name=self.model,
            model_version=version,
            request_id=question.request_id,
            timeout=round(question.timeout_s * 1e6),
            parameters=dict(question.parameters),
            inputs=[
                pb_utils.Tensor(name, np.array([list(texts)], np.object_)) for name, texts in question.inputs.items()
            ],
            requested_output_names=self._outputs,
        )
        return request.exec()

    def _plain(self, message: str) -> str:
        """Return the words of a step, without those that the Python backend and the ensemble put before them."""
        words = message.rpartition("Error when running inference: ")[2]
        return words.removeprefix(f"in ensemble '{self.model}', ")

    def _changed(self, what: str) -> NotAsFitted:
        return NotAsFitted(
            f"the cascade was fitted to version {self.version} of {self.model}, {what}: serve that version again, or "
            "fit the cascade again with `encserve cascade`"
        )
