"""What an instance counts, for Triton's metrics.

Each change of a metric is a message to Triton that waits for its answer, and fails where there is no shared memory. So
threads that work count in memory, and one thread tells Triton once a second.
"""

from __future__ import annotations

import threading
from collections import Counter as Counts
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import triton_python_backend_utils as pb_utils

from .lanes import LANES
from .load_page import Load
from .loops import Loop, Report

PERIOD_S = 1.0

Labels = tuple[tuple[str, str], ...]


class Told(Protocol):
    """What is told with the metrics of an instance."""

    def tell(self) -> None:
        """Bring it up to date."""


class Counter:
    """One counter of a model's version, with a series for each combination of labels. Threads may add at the same time,
    and one tells it."""

    def __init__(self, family: Any, labels: Mapping[str, str]) -> None:
        self._family = family  # a metric lives as long as its family
        self._labels = labels
        self._metrics: dict[Labels, Any] = {}
        self._counts: Counts[Labels] = Counts()
        self._told: Counts[Labels] = Counts()
        self._floors: dict[Labels, float] = {}
        self._adding = threading.Lock()

    def expect(self, **labels: str) -> None:
        """Show a series from the beginning: a rate does not see the count with which a series begins."""
        self.add(0, **labels)

    def add(self, count: float = 1, **labels: str) -> None:
        """Count, in memory."""
        with self._adding:
            self._counts[tuple(labels.items())] += count  # type: ignore[assignment]

    def raise_to(self, total: float, **labels: str) -> None:
        """Bring a series of `expect` up to a `total` that others count, once. It may be there already: the series of an
        instance before this one."""
        self._floors[tuple(labels.items())] = total

    def tell(self) -> None:
        """Bring the metric up to date."""
        with self._adding:
            counts = self._counts.copy()
        for series, count in counts.items():
            if series not in self._metrics:
                self._metrics[series] = self._family.Metric(labels={**self._labels, **dict(series)})
            if count > self._told[series]:
                self._metrics[series].increment(count - self._told[series])
                self._told[series] = count
            if series in self._floors:
                missing = self._floors[series] - self._metrics[series].value()
                if missing > 0:
                    self._metrics[series].increment(missing)
                del self._floors[series]


class Gauge:
    """One amount of a model's version, which the instances of a step have together."""

    def __init__(self, family: Any, labels: Mapping[str, str], read: Callable[[], float]) -> None:
        self._family = family
        self._metric = family.Metric(labels=labels)
        self._told = 0.0
        self._read = read

    def tell(self) -> None:
        """Bring the metric up to date."""
        if change := self._read() - self._told:
            self._metric.increment(change)  # and not set: another instance has its own share of it
            self._told += change


class Metrics:
    """The metrics of an instance, and the thread that tells them. A metric that cannot be told is told a second later.

    Args:
        args: what Triton gives to `initialize`; names the model and its version.
    """

    def __init__(self, args: Mapping[str, Any]) -> None:
        self._labels = {"model": args["model_name"], "version": args["model_version"]}
        self._all: list[Told] = []
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, metric: Told) -> None:
        """Tell a metric with the others, in the order in which they were added."""
        self._all.append(metric)

    def counter(self, name: str, description: str) -> Counter:
        """A new counter."""
        family = pb_utils.MetricFamily(name=name, description=description, kind=pb_utils.MetricFamily.COUNTER)
        counter = Counter(family, self._labels)
        self.add(counter)
        return counter

    def gauge(self, name: str, description: str, read: Callable[[str], float]) -> None:
        """A new gauge of what `read` says of a lane."""
        family = pb_utils.MetricFamily(name=name, description=description, kind=pb_utils.MetricFamily.GAUGE)
        for lane in LANES:
            self.add(Gauge(family, {**self._labels, "lane": lane}, partial(read, lane)))

    def amount(self, name: str, description: str, read: Callable[[], float]) -> None:
        """A new gauge of what `read` says."""
        family = pb_utils.MetricFamily(name=name, description=description, kind=pb_utils.MetricFamily.GAUGE)
        self.add(Gauge(family, self._labels, read))

    def work(self, load: Callable[[str], Load]) -> None:
        """The gauges of the work that an instance has, by what `load` says of a lane: tokens by tokens per second are
        the seconds of work that wait."""
        self.gauge("encserve_waiting_tokens", "Tokens that wait or are computed", lambda lane: load(lane).tokens)
        self.gauge(
            "encserve_tokens_per_second",
            "Tokens a second that were last computed while all threads had work",
            lambda lane: load(lane).rate,
        )

    def start(self, report: Report) -> None:
        """Tell all that is there, now and once a second; `report` takes what cannot be told."""
        self.tell(report)
        loop = Loop(
            "metrics", take=self._wait, do=lambda _: self.tell(report), give_up=lambda _, error: None, report=report
        )
        self._thread = loop.start()

    def tell(self, report: Report) -> None:
        """Bring all metrics up to date, each by itself; of those that fail the first is reported."""
        errors = []
        for metric in self._all:
            try:
                metric.tell()
            except Exception as error:  # as where there is no shared memory
                errors.append(error)
        if errors:
            report("metrics", errors[0])

    def close(self) -> None:
        """End the thread."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()

    def _wait(self) -> bool | None:
        return None if self._ending.wait(PERIOD_S) else True
