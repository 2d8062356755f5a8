"""Sums of vectors along fixed directions, for a test of whether texts are of the kind that a baseline was frozen of.

A counter only grows, so what is above zero and what is below are two. Texts of one request are often about one thing:
with the squares of how many texts requests have, whoever judges knows as how many texts by themselves they count.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..instance.metrics import Metrics
from .projection import DIRECTIONS

TELLINGS = 10
"""Sums are told at each tenth telling, every ten seconds: they are judged by the hour, and each is a message."""
LEAST_TEXTS = 20
"""Sums of fewer texts wait for more: whoever reads the metrics could hold that of one text against one that he guesses.
"""
SIDES = ("above", "below")


class VectorSums:
    """The sums of one version."""

    def __init__(self, metrics: Metrics) -> None:
        metrics.add(self)  # before its counters, which it fills when it is told
        self._sums = metrics.counter(
            "encserve_projection_sum", "Sum of the products of vectors of length 1 with a fixed vector, of each side"
        )
        self._vectors = metrics.counter("encserve_summed_vectors", "Vectors that encserve_projection_sum is of")
        self._squares = metrics.counter(
            "encserve_summed_vectors_squared", "Sum over requests of the square of how many of these vectors each has"
        )
        for number in range(DIRECTIONS):
            for side in SIDES:
                self._sums.expect(direction=str(number), side=side)
        self._vectors.expect()
        self._squares.expect()
        self._tellings = 0
        self._adding = threading.Lock()
        self._clear()

    def add(self, along: NDArray[Any]) -> None:
        """Add the vectors (n, DIRECTIONS) of a request, as `projection.projected` gives them. One that is not finite,
        as a backend that does not look may give, is left out."""
        finite = along[np.isfinite(along).all(axis=1)]
        above = np.maximum(finite, 0).sum(axis=0)
        below = above - finite.sum(axis=0)
        with self._adding:
            self._above += above
            self._below += below
            self._count += len(finite)
            self._of_squares += len(finite) ** 2

    def tell(self) -> None:
        """Bring the counters up to date, in memory, where it is their turn and there are enough texts."""
        self._tellings += 1
        if self._tellings % TELLINGS:
            return
        with self._adding:
            if self._count < LEAST_TEXTS:
                return
            sums = {"above": self._above, "below": self._below}
            count, squares = self._count, self._of_squares
            self._clear()
        for side in SIDES:
            for number, own in enumerate(np.maximum(sums[side], 0).tolist()):
                self._sums.add(own, direction=str(number), side=side)
        self._vectors.add(count)
        self._squares.add(squares)

    def _clear(self) -> None:
        self._above, self._below = np.zeros(DIRECTIONS), np.zeros(DIRECTIONS)
        self._count = self._of_squares = 0
