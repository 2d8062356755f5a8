"""The head step: what the encoder gives in, answers out."""

from __future__ import annotations

from typing import Any

from ..instance.failures import Failures
from ..instance.metrics import Metrics
from ..instance.settings import read_settings, version_folder
from ..request.call import Call
from ..request.options import OptionRules
from ..request.replies import reply
from .loading import load_head


class TritonPythonModel:
    """Answers each request as its options say."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Load the head of the pipeline's task."""
        settings = read_settings(version_folder(args))
        self._rules = OptionRules.from_settings(settings)
        self._head = load_head(settings)
        self._inputs = settings["tensors"]
        self._metrics = Metrics(args)
        self._failures = Failures(args["model_name"], self._metrics, sees_texts=True)
        self._metrics.start(self._failures.report)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request, as its options say."""
        calls = [Call(request, self._failures) for request in requests]
        for call in calls:
            with call.guarded():
                inputs = {name: call.tensor(name) for name in self._inputs}
                answer = self._head.answer(inputs, self._rules.check(call.parameters))
                call.answer(reply(**{name: tensor[None] for name, tensor in answer.items()}))  # (1, ...)
        return [call.response for call in calls]

    def finalize(self) -> None:
        """End the threads."""
        self._metrics.close()
