"""What a cascade counts: who decided, how long answers took, and which requests got none."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Mapping, Sequence
from typing import Any

from ..head.answer_counts import LabelCounts, Tensors
from ..head.answer_times import AnswerTimes
from ..instance.lanes import LANES
from ..instance.metrics import Metrics
from ..tokenize.door.admission_queue import LIMITS
from .decisions import DECISIONS, LARGE, SMALL


class CascadeCounts:
    """The counters of an instance.

    Args:
        metrics: Of the instance.
        settings: Of the step.
        pipeline: The name of the cascade.
    """

    def __init__(self, metrics: Metrics, settings: Mapping[str, Any], pipeline: str) -> None:
        self.refused = metrics.counter(
            "encserve_refused_requests", "Requests that were refused because too much waits already"
        )
        self.late = metrics.counter(
            "encserve_late_requests", "Requests whose timeout passed while they waited, and that were not computed"
        )
        self.cancelled = metrics.counter(
            "encserve_cancelled_requests", "Requests whose callers gave them up while they waited"
        )
        self.messages = metrics.counter(
            "encserve_cancel_messages", "Requests that say of others that they are given up"
        )
        self.messages.expect()
        self.unfit = metrics.counter(
            "encserve_cascade_unfit_requests",
            "Requests that were refused because a pipeline is not what the cascade was fitted to",
        )
        self.unfit.expect()
        self._texts = metrics.counter("encserve_cascade_texts", "Texts by who decided about them")
        for decision in DECISIONS:
            self._texts.expect(decision=decision)
        for lane in LANES:
            for counter in (self.late, self.cancelled):
                counter.expect(lane=lane)
            for limit in (*LIMITS, SMALL, LARGE):  # the last two are refused by a pipeline
                self.refused.expect(lane=lane, limit=limit)
        self._times = AnswerTimes(metrics, pipeline)
        self._labels = LabelCounts({"labels": settings["labels"], "activation": "softmax"}, metrics)

    def answered(self, lane: str, arrived_s: float, answer: Tensors, decided: Sequence[str]) -> None:
        """Count a request whose answer was sent now."""
        for decision, texts in Counts(decided).items():
            self._texts.add(texts, decision=decision)
        self._times.answered([(lane, arrived_s)])
        self._labels.add({}, answer)
