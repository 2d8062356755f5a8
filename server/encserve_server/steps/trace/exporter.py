"""Sends spans to a collector, from a thread of its own, so that no request waits for that.

A collector that does not answer costs nobody anything: its spans are dropped and counted, and it is tried again ever
less often.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol
from urllib.parse import urlsplit

from ..instance.loops import Loop, Report
from .settings import TraceSettings
from .span import Span, otlp_json

PATH = "/v1/traces"
"""Where collectors take spans, below their address."""
PERIOD_S = 1.0
"""Seconds for which spans wait for others to be sent with."""
MOST = 2_048
"""Spans that wait at most: what comes beyond that is dropped."""
TOGETHER = 512
"""Spans that are sent in one request at most."""
TIMEOUT_S = 5.0
"""Seconds for which a collector may send or take nothing, and for which an end waits for the thread."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Seconds for which a collector that failed is left alone; each time twice as long."""
QUEUE, COLLECTOR = "queue", "collector"
"""Why spans are dropped: more came than are sent, or the collector does not take them."""


class Counts(Protocol):
    """Takes how many spans were sent or dropped."""

    def add(self, count: float = 1, **labels: str) -> None:
        """Count."""


class SpanExporter:
    """The spans of an instance that are not sent yet, and the thread that sends them.

    Args:
        settings: where to, and with what.
        sent: takes how many spans the collector took.
        dropped: takes how many were dropped, by `reason`.
        warn: takes a sentence for the operator.
        report: takes what goes wrong by a fault of ours.
    """

    def __init__(
        self,
        settings: TraceSettings,
        *,
        sent: Counts,
        dropped: Counts,
        warn: Callable[[str], None],
        report: Report,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._sent, self._dropped, self._warn, self._clock = sent, dropped, warn, clock
        self._waiting: deque[Span] = deque()
        self._ending = threading.Event()
        self._pause_s = 0.0
        self._next_try_s = 0.0
        self._lost = 0
        """Spans that were dropped since the collector failed."""
        self._thread = Loop(
            "spans",
            take=self._take,
            do=self._send,
            give_up=lambda spans, error: dropped.add(len(spans), reason=COLLECTOR),
            report=report,
        ).start()

    def add(self, span: Span) -> None:
        """Have a span be sent, soon; it is dropped where too many wait."""
        if len(self._waiting) < MOST:
            self._waiting.append(span)
        else:
            self._dropped.add(reason=QUEUE)

    def close(self) -> None:
        """Send what waits, where the collector takes it, and end the thread; it dies with the process where that takes
        longer than `TIMEOUT_S`."""
        self._ending.set()
        self._thread.join(TIMEOUT_S)

    def _take(self) -> Sequence[Span] | None:
        """Return the spans to be sent next, after a while; None once it is closed and nothing waits."""
        if len(self._waiting) < TOGETHER:
            self._ending.wait(PERIOD_S)
        spans = [self._waiting.popleft() for _ in range(min(len(self._waiting), TOGETHER))]
        return None if not spans and self._ending.is_set() else spans

    def _send(self, spans: Sequence[Span]) -> None:
        if not spans:
            return
        problem = ""
        if self._clock() >= self._next_try_s:
            problem = self._problem(spans)
            if not problem:
                self._took(len(spans))
                return
            self._failed(problem)
        self._lost += len(spans)
        self._dropped.add(len(spans), reason=COLLECTOR)

    def _took(self, count: int) -> None:
        self._sent.add(count)
        if self._pause_s:
            self._warn(f"the collector {self._settings.collector} takes spans again; {self._lost} were dropped")
        self._pause_s, self._lost = 0.0, 0

    def _failed(self, problem: str) -> None:
        if not self._pause_s:  # once, and not each time
            self._warn(
                f"the collector {self._settings.collector} does not take spans ({problem}): they are dropped, and "
                "counted in encserve_dropped_spans, until it does"
            )
        self._pause_s = min(max(2 * self._pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)
        self._next_try_s = self._clock() + self._pause_s

    def _problem(self, spans: Sequence[Span]) -> str:
        """Send spans. Returns why the collector does not take them; empty where it does."""
        body = otlp_json(spans, self._settings.resource)
        try:
            status = post(self._settings.collector, body, self._settings.headers)
        except Exception as error:  # whose words may have a key that the collector is sent
            return type(error).__name__
        return "" if 200 <= status < 300 else f"status {status}"


def post(collector: str, body: bytes, headers: Mapping[str, str]) -> int:
    """Send a body of JSON to a collector. Returns the status of its answer.

    Raises:
        OSError: no answer came in time, or no connection.
        HTTPException: what came is no HTTP.
    """
    parts = urlsplit(collector)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=TIMEOUT_S)
    try:
        connection.request("POST", PATH, body, {**headers, "content-type": "application/json"})
        return connection.getresponse().status  # its body, which may have no end, is nobody's
    finally:
        connection.close()
