"""The head step: what the encoder gives in, answers out."""

from __future__ import annotations

from typing import Any

from ..instance.failures import Failures
from ..instance.metrics import Metrics
from ..instance.settings import read_settings, version_folder
from ..request.arrival import ARRIVED_NS
from ..request.call import Call
from ..request.options import OptionRules
from ..request.replies import reply
from ..trace.tracing import Tracing, open_tracing
from .answer_counts import answer_counts
from .answer_times import AnswerTimes
from .head_trace import HeadTrace, head_trace
from .loading import load_head


class TritonPythonModel:
    """Answers each request as its options say."""

    _tracing: Tracing | None = None
    """Its traces; None where the operator wants none."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Load the head of the pipeline's task."""
        settings = read_settings(version_folder(args))
        self._rules = OptionRules.from_settings(settings)
        self._head = load_head(settings)
        self._inputs = settings["tensors"]
        self._metrics = Metrics(args)
        self._failures = Failures(args["model_name"], self._metrics, sees_texts=True)
        self._tracing = open_tracing(args, step="_head", metrics=self._metrics, failures=self._failures)
        self._times = None
        if settings.get("arrival") == ARRIVED_NS:  # exports of before this was told have no such tensor
            self._times = AnswerTimes(self._metrics, args["model_name"].removesuffix("_head"))
        self._counts = answer_counts(settings, self._metrics)
        self._metrics.start(self._failures.report)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request, as its options say."""
        calls = [Call(request, self._failures) for request in requests]
        if self._tracing:
            for call in calls:
                call.trace = head_trace(self._tracing, call)
        answered = []
        for call in calls:
            with call.guarded():
                options = self._rules.check(call.parameters)
                arrival = self._times.arrival(call, options) if self._times else None
                if arrival is not None and isinstance(call.trace, HeadTrace):
                    call.trace.lane, call.trace.door_s = arrival
                inputs = {name: call.tensor(name) for name in self._inputs}
                answer = self._head.answer(inputs, options)
                call.answer(reply(**{name: tensor[None] for name, tensor in answer.items()}))  # (1, ...)
                answered.append((arrival, inputs, answer))
        if self._times:
            try:
                self._times.answered([arrival for arrival, _, _ in answered])  # which Triton sends when this returns
                for arrival, inputs, answer in answered:
                    if self._counts and arrival is not None:
                        self._counts.add(inputs, answer)
            except BaseException as error:  # a lack of memory takes nobody's answer
                self._failures.report("execute", error)
        if self._tracing:
            for call in calls:
                if isinstance(call.trace, HeadTrace):
                    call.trace.sent()
        return [call.response for call in calls]

    def finalize(self) -> None:
        """End the threads."""
        if self._tracing:
            self._tracing.close()
        self._metrics.close()
