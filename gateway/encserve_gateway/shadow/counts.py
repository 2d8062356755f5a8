"""What stays of the answers of candidates that were compared: counts and histograms, by pipeline and version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from encserve_gateway.shadow.differences import Differences

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BUCKETS_SCORE = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
BUCKETS_COSINE = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999)


class Counts:
    """The metrics of the shadow of one gateway."""

    def __init__(self, registry: CollectorRegistry) -> None:
        about: dict[str, Any] = {"registry": registry, "namespace": "encserve_gateway", "subsystem": "shadow"}
        by_candidate = ("model", "version")
        asked = "Questions that candidates were asked again, by what became of them."
        self._requests = Counter("requests", asked, (*by_candidate, "outcome"), **about)
        texts = "What could have changed in the answers of candidates: texts, orders of documents."
        self._texts = Counter("texts", texts, by_candidate, **about)
        changed = "What did: first labels, entities, first documents, spans or tokens, nearest texts."
        self._changed = Counter("changed_texts", changed, by_candidate, **about)
        scores = "Differences of scores, of each text the largest."
        self._scores = Histogram("score_difference", scores, by_candidate, buckets=BUCKETS_SCORE, **about)
        cosines = "Cosines of the active vector of a text and the candidate's."
        self._cosines = Histogram("cosine", cosines, by_candidate, buckets=BUCKETS_COSINE, **about)
        took = "Of questions that both answered; the candidate is asked in bulk."
        self._seconds = Histogram("duration_seconds", took, (*by_candidate, "which"), buckets=BUCKETS_S, **about)

    def asked(self, model: str, version: str, outcome: str) -> None:
        """Count a question: "answered", "dropped" for lack of room, or "failed"."""
        self._requests.labels(model, version, outcome).inc()

    def took(self, model: str, version: str, seconds: Mapping[str, float]) -> None:
        """Count how long the active version and the candidate took, by these words."""
        for which, each in seconds.items():
            self._seconds.labels(model, version, which).observe(each)

    def differs(self, model: str, version: str, found: Differences) -> None:
        """Count how two answers differ."""
        self._texts.labels(model, version).inc(found.asked)
        self._changed.labels(model, version).inc(found.changed)
        for score in found.scores:
            self._scores.labels(model, version).observe(score)
        for cosine in found.cosines:
            self._cosines.labels(model, version).observe(cosine)
