"""Counts that a step tells Triton, for its metrics."""

from __future__ import annotations

import time
from collections import Counter as Counts
from collections.abc import Mapping
from typing import Any

import triton_python_backend_utils as pb_utils

PERIOD_S = 1.0


class Counter:
    """One counter of a model's version."""

    def __init__(self, args: Mapping[str, Any], name: str, description: str) -> None:
        self._family = _family(name, description)  # the metric lives as long as its family
        self._metric = self._family.Metric(labels=_labels(args))
        self._told = 0

    def increment(self, by: int) -> None:
        """Add to it. Each time costs a message to Triton."""
        self._metric.increment(by)

    def reach(self, total: int) -> None:
        """Let it stand at `total`, which only grows."""
        if total > self._told:
            self._metric.increment(total - self._told)
            self._told = total


class LabelledCounter:
    """A counter of a model's version with one series for each combination of labels that occurs."""

    def __init__(self, args: Mapping[str, Any], name: str, description: str) -> None:
        self._labels = _labels(args)
        self._family = _family(name, description)
        self._metrics: dict[tuple[tuple[str, str], ...], Any] = {}
        self._counts: Counts[tuple[tuple[str, str], ...]] = Counts()
        self._told: Counts[tuple[tuple[str, str], ...]] = Counts()

    def add(self, **labels: str) -> None:
        """Count one. From one thread only."""
        self._counts[tuple(labels.items())] += 1

    def tell(self) -> None:
        """Bring the metrics up to date: messages that wait for Triton, which a refusal must not."""
        for key, count in self._counts.copy().items():
            if key not in self._metrics:
                self._metrics[key] = self._family.Metric(labels=self._labels | dict(key))
            if count > self._told[key]:
                self._metrics[key].increment(count - self._told[key])
                self._told[key] = count


def _family(name: str, description: str) -> Any:
    return pb_utils.MetricFamily(name=name, description=description, kind=pb_utils.MetricFamily.COUNTER)


def _labels(args: Mapping[str, Any]) -> dict[str, str]:
    return {"model": args["model_name"], "version": args["model_version"]}


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
