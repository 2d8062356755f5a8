"""What a gateway counts. Labels are names that it knows itself: what callers make up would never end."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from encserve import __version__
from encserve_gateway.observation.processes import MULTIPROCESS

if TYPE_CHECKING:
    from encserve_gateway.record import Record

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BUCKETS_BYTES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)


class Metrics:
    """The metrics of one gateway."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        about: dict[str, Any] = {"registry": self.registry, "namespace": "encserve_gateway"}
        by_route = ("route", "dialect", "model")
        self._requests = Counter("requests", "Requests that were answered.", (*by_route, "code"), **about)
        seconds = "From the head of a request to its answer."
        self._seconds = Histogram("request_duration_seconds", seconds, by_route, buckets=BUCKETS_S, **about)
        self._texts = Counter("texts", "Texts that were answered.", ("model",), **about)
        self._tokens = Counter("tokens", "Tokens that networks saw.", ("model",), **about)
        self._cut = Counter("cut_texts", "Texts of which tokens were cut.", ("model",), **about)
        self._dropped = Counter("dropped_tokens", "Tokens that were cut.", ("model",), **about)
        self._refused = Counter("refused_requests", "Requests that were not answered with 200.", ("reason",), **about)
        by_key = "Requests by the name of their key."
        self._by_key = Counter("key_requests", by_key, ("key", "code"), **about)
        by_version = "Requests by the version that answered them last."
        self._by_version = Counter("version_requests", by_version, ("model", "version", "code"), **about)
        self._left = Counter("left_requests", "Requests whose callers went away.", **about)
        self._request_bytes = Histogram("request_bytes", "Bytes of bodies.", buckets=BUCKETS_BYTES, **about)
        self._response_bytes = Histogram("response_bytes", "Bytes of answers.", buckets=BUCKETS_BYTES, **about)
        under_way = "Requests that are under way."
        self.in_flight = Gauge("in_flight_requests", under_way, multiprocess_mode="livesum", **about)
        build = Gauge("build_info", "1, for this version.", ("version",), multiprocess_mode="max", **about)
        build.labels(__version__).set(1)
        # To look up labels takes as long as to count, so it is done once; what is kept here Prometheus keeps, too.
        self._of_route = cache(self._labelled_by_route)
        self._of_answer = cache(self._labelled_by_answer)

    def answered(self, record: Record, *, code: int, seconds: float, sent_bytes: int) -> None:
        """Count a request that was answered, well or not."""
        model = record.served.name if record.served else ""
        route, dialect = record.path, record.dialect.name
        requests, durations = self._of_route(route, dialect, model, code)
        requests.inc()
        durations.observe(seconds)
        self._request_bytes.observe(record.request.content_length or 0)
        self._response_bytes.observe(sent_bytes)
        if record.key.name:
            self._by_key.labels(record.key.name, str(code)).inc()
        if record.last is not None:
            by_version, texts, tokens, cut, dropped = self._of_answer(
                model, record.last.model, record.last.version, code
            )
            by_version.inc()
            texts.inc(record.texts)
            tokens.inc(record.tokens)
            if record.dropped_tokens:
                cut.inc(record.cut_texts)
                dropped.inc(record.dropped_tokens)

    def _labelled_by_route(self, route: str, dialect: str, model: str, code: int) -> tuple[Counter, Histogram]:
        by_route = (route, dialect, model)
        return self._requests.labels(*by_route, code), self._seconds.labels(*by_route)

    def _labelled_by_answer(self, name: str, model: str, version: str, code: int) -> tuple[Counter, ...]:
        """What is counted of an answer that was asked for by a name; all of it is told from now on, if with nought."""
        by_name = [counter.labels(name) for counter in (self._texts, self._tokens, self._cut, self._dropped)]
        return (self._by_version.labels(model, version, code), *by_name)

    def refused(self, reason: str) -> None:
        """Count a request that was not answered with 200, by the word of its `Kind`."""
        self._refused.labels(reason).inc()

    def left(self) -> None:
        """Count a request whose caller went away."""
        self._left.inc()

    def page(self) -> bytes:
        """All numbers in Prometheus's text format, of all worker processes where there are several."""
        if MULTIPROCESS not in os.environ:
            return generate_latest(self.registry)
        _forget_the_dead(os.environ[MULTIPROCESS])
        everyone = CollectorRegistry()
        MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
        return generate_latest(everyone)


def _forget_the_dead(folder: str) -> None:
    """Remove what processes that were killed said of their last moment, such as requests under way; counts stay."""
    for file in Path(folder).glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)  # which only asks whether it is there
        except OSError:  # none has this number, or one of somebody else
            file.unlink(missing_ok=True)
