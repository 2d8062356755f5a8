"""What the answers of a pipeline are like, as counts by version: whoever watches a new version compares them with those
of the version before, and no text or vector is kept for it."""

from __future__ import annotations

import threading
from collections import Counter as Counts
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..instance.histogram import Histogram
from ..instance.metrics import Metrics
from .answers.windows import mean_of_windows
from .projection import DIRECTIONS, products, scaled
from .vector_sums import LEAST_TEXTS, VectorSums

MOST_LABELS = 64
"""Labels beyond these are counted together: each is a series."""
OTHER = "(other)"
SCORE_BOUNDS = tuple(tenth / 10 for tenth in range(1, 10))
"""Upper bounds of the buckets of first scores."""

Tensors = Mapping[str, NDArray[Any]]


class AnswerCounts(Protocol):
    """Counts answers of one head, from the inputs and the answer of a request, without their leading dimension."""

    def add(self, inputs: Tensors, answer: Tensors) -> None:
        """Count the texts of a request, in memory."""


def answer_counts(settings: Mapping[str, Any], metrics: Metrics) -> AnswerCounts | None:
    """Return what counts the answers of the head that the settings name; None where there is nothing to count without
    keeping what a caller wrote."""
    kind = _KINDS.get(settings["head"])
    return kind(settings, metrics) if kind else None


class LabelCounts:
    """Texts of a classifier by their first label, and by the score that it has."""

    def __init__(self, settings: Mapping[str, Any], metrics: Metrics) -> None:
        named: Sequence[str] = settings["labels"][:MOST_LABELS]
        self._names = {label.encode(): label for label in named}
        self._labels = metrics.counter("encserve_first_labels", "Texts by the label with the highest score")
        for label in (*named, *([OTHER] if len(settings["labels"]) > MOST_LABELS else [])):
            self._labels.expect(label=label)
        self._scores = None
        if settings["activation"] != "none":  # bare scores are between any bounds
            self._scores = Histogram(metrics, "encserve_first_score", "The highest score of a text", SCORE_BOUNDS)
            self._scores.expect()

    def add(self, inputs: Tensors, answer: Tensors) -> None:
        """Count `label` (n, k) and `score` (n, k) of n texts, of which the first stand in the first column."""
        for label, count in Counts(answer["label"][:, 0].tolist()).items():
            self._labels.add(count, label=self._names.get(label, OTHER))
        if self._scores:
            self._scores.observe_all(answer["score"][:, 0])


class VectorCounts:
    """Vectors by the side of the origin on which they lie, along fixed directions: what pools the tokens in another
    way, or meets other texts, has other shares. No vector can be had back from sums over many texts."""

    def __init__(self, settings: Mapping[str, Any], metrics: Metrics) -> None:
        metrics.add(self)  # before its counters, which it fills when it is told
        self._vectors = metrics.counter(
            "encserve_projected_vectors", "Vectors that encserve_positive_projections is of"
        )
        self._signs = metrics.counter(
            "encserve_positive_projections",
            "Vectors with a positive product with a fixed vector of ones and minus ones",
        )
        for number in range(DIRECTIONS):
            self._signs.expect(direction=str(number))
        self._vectors.expect()
        self._positive = np.zeros(DIRECTIONS, np.int64)
        self._count = self._texts = 0
        self._adding = threading.Lock()
        self._sums = VectorSums(metrics)

    def add(self, inputs: Tensors, answer: Tensors) -> None:
        """Count `sentence_embedding` (W, H) of the windows of texts, as the network gave it, and add up the texts'."""
        rows = inputs["sentence_embedding"]
        with np.errstate(invalid="ignore", over="ignore"):  # a backend that does not look may give NaN or infinity
            along = products(rows)  # (W, DIRECTIONS)
            positive = np.count_nonzero(along > 0, axis=0)  # (DIRECTIONS,)
            texts = mean_of_windows(rows, inputs["lengths"], inputs["window_count"])  # (n, H)
            self._sums.add(scaled(along if texts is rows else products(texts), texts))
        with self._adding:
            self._positive += positive
            self._count += len(rows)
            self._texts += len(texts)

    def tell(self) -> None:
        """Bring the counters up to date, in memory, where there are enough texts."""
        with self._adding:
            if self._texts < LEAST_TEXTS:
                return
            positive, self._positive = self._positive, np.zeros(DIRECTIONS, np.int64)
            count, self._count = self._count, 0
            self._texts = 0
        self._vectors.add(count)
        for number, own in enumerate(positive.tolist()):
            self._signs.add(own, direction=str(number))


_KINDS: dict[str, Callable[[Mapping[str, Any], Metrics], AnswerCounts]] = {
    "labels.classification": LabelCounts,
    "vectors.text_vectors": VectorCounts,
}
