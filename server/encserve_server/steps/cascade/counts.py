"""What a cascade counts: who decided, how long answers took, and which requests got none."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Mapping, Sequence
from typing import Any

from ..head.answer_counts import LabelCounts, Tensors
from ..head.answer_times import AnswerTimes
from ..instance.metrics import Metrics
from ..tokenize.door.admission_queue import LIMITS
from ..tokenize.door.counts import DoorCounts
from .decisions import DECISIONS, LARGE, SMALL


class CascadeCounts:
    """The counters of an instance.

    Args:
        metrics: Of the instance.
        settings: Of the step.
        pipeline: The name of the cascade.
    """

    def __init__(self, metrics: Metrics, settings: Mapping[str, Any], pipeline: str) -> None:
        self.door = DoorCounts(metrics, (*LIMITS, SMALL, LARGE))  # the last two are refused by a pipeline
        self.unfit = metrics.counter(
            "encserve_cascade_unfit_requests",
            "Requests that were refused because a pipeline is not what the cascade was fitted to",
        )
        self.unfit.expect()
        self._texts = metrics.counter("encserve_cascade_texts", "Texts by who decided about them")
        for decision in DECISIONS:
            self._texts.expect(decision=decision)
        self._times = AnswerTimes(metrics, pipeline)
        self._labels = LabelCounts({"labels": settings["labels"], "activation": "softmax"}, metrics)

    def answered(self, lane: str, arrived_s: float, answer: Tensors, decided: Sequence[str]) -> None:
        """Count a request whose answer was sent now."""
        for decision, texts in Counts(decided).items():
            self._texts.add(texts, decision=decision)
        self._times.answered([(lane, arrived_s)])
        self._labels.add({}, answer)
