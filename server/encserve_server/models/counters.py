"""Counts that a step tells Triton, for its metrics."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import triton_python_backend_utils as pb_utils

PERIOD_S = 1.0


class Counter:
    """One counter of a model's version."""

    def __init__(self, args: Mapping[str, Any], name: str, description: str) -> None:
        # The metric lives as long as its family.
        self._family = pb_utils.MetricFamily(name=name, description=description, kind=pb_utils.MetricFamily.COUNTER)
        self._metric = self._family.Metric(labels={"model": args["model_name"], "version": args["model_version"]})
        self._told = 0

    def increment(self, by: int) -> None:
        """Add to it. Each time costs a message to Triton."""
        self._metric.increment(by)

    def reach(self, total: int) -> None:
        """Let it stand at `total`, which only grows."""
        if total > self._told:
            self._metric.increment(total - self._told)
            self._told = total


class Periodically:
    """Says whether a second has passed since it last said so: for counts that need not be told at once."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def due(self) -> bool:
        """Whether it is time again."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return False
        self._next_s = now_s + PERIOD_S
        return True
