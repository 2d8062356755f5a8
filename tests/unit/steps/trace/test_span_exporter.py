"""How spans come to a collector, and what becomes of them where it takes none."""

import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from collector import attributes, collecting

from encserve_server.steps.trace import exporter
from encserve_server.steps.trace.exporter import MOST, SpanExporter
from encserve_server.steps.trace.settings import trace_settings
from encserve_server.steps.trace.span import CLIENT, Place, Span, otlp_json

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def span(number=1, **others):
    place = Place(TRACE, f"{number:016x}")
    return Span(**{"name": "queue", "place": place, "parent_id": "", "began_s": 1.5, "ended_s": 2.5, **others})


class Counts:
    def __init__(self):
        self.by = Counter()

    def add(self, count=1, *, reason=""):
        self.by[reason] += count


class Told:
    """An exporter, and what it told of itself."""

    def __init__(self, collector, monkeypatch, period_s=0.01):
        monkeypatch.setattr(exporter, "PERIOD_S", period_s)
        self.sent, self.dropped, self.said, self.faults, self.now_s = Counts(), Counts(), [], [], 0.0
        self.exporter = SpanExporter(
            trace_settings({"ENCSERVE_OTLP": collector, "OTEL_EXPORTER_OTLP_HEADERS": "x-key=sesame"}),
            sent=self.sent,
            dropped=self.dropped,
            warn=self.said.append,
            report=lambda where, error: self.faults.append(error),
            clock=lambda: self.now_s,
        )

    def wait_for(self, what):
        for _ in range(1_000):
            if what():
                return
            threading.Event().wait(0.01)
        raise AssertionError(f"sent {self.sent.by}, dropped {self.dropped.by}, faults {self.faults}")


def test_a_collector_reads_what_it_is_sent(monkeypatch):
    with collecting() as collector:
        told = Told(collector.url, monkeypatch)
        told.exporter.add(
            span(
                parent_id="00f067aa0ba902b7",
                kind=CLIENT,
                attributes={"whole": 3, "part": 0.5, "flag": True, "word": "bulk"},
                links=[Place("1" * 32, "2" * 16)],
                error="UNAVAILABLE",
            )
        )
        told.exporter.close()
    (got,) = collector.spans
    assert (got.name, got.kind, got.trace_id.hex(), got.parent_span_id.hex()) == ("queue", 3, TRACE, "00f067aa0ba902b7")
    assert attributes(got) == {"whole": 3, "part": 0.5, "flag": True, "word": "bulk", "error.type": "UNAVAILABLE"}
    assert got.end_time_unix_nano - got.start_time_unix_nano == 1_000_000_000
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in got.links] == [("1" * 32, "2" * 16)]
    assert got.status.code == 2
    assert told.sent.by == {"": 1}
    assert not told.dropped.by
    assert not told.said


def test_times_are_those_of_the_host():
    body = otlp_json([span()], {}, epoch_ns=10**18)
    assert b'"startTimeUnixNano":"1000000001500000000"' in body


def test_a_collector_that_is_not_there_is_said_once_and_tried_ever_less_often(monkeypatch):
    tries = []
    monkeypatch.setattr(exporter, "post", lambda *_: tries.append(1) or 503)
    told = Told("http://127.0.0.1:1", monkeypatch)
    for number in range(1, 6):
        told.exporter.add(span(number))
        told.wait_for(lambda number=number: told.dropped.by["collector"] == number)
    assert len(tries) == 1, "it is left alone for a second"
    for _ in range(10):
        told.now_s += 60
        before = told.dropped.by["collector"]
        told.exporter.add(span())
        told.wait_for(lambda before=before: told.dropped.by["collector"] == before + 1)
    assert len(tries) == 11, "and for a minute at most"
    assert len(told.said) == 1
    assert "status 503" in told.said[0]
    assert "sesame" not in told.said[0]
    monkeypatch.setattr(exporter, "post", lambda *_: 200)
    told.now_s += 60
    told.exporter.add(span())
    told.wait_for(lambda: told.sent.by[""] == 1)
    told.exporter.close()
    assert told.said[1:] == ["the collector http://127.0.0.1:1 takes spans again; 15 were dropped"]
    assert not told.faults


def test_more_spans_than_may_wait_are_dropped_and_counted(monkeypatch):
    goes_on, asked = threading.Event(), threading.Event()

    def post(*_):
        asked.set()
        goes_on.wait(60)
        return 200

    monkeypatch.setattr(exporter, "post", post)
    told = Told("http://127.0.0.1:1", monkeypatch)
    told.exporter.add(span())
    assert asked.wait(60)
    for number in range(MOST + 7):
        told.exporter.add(span(number))
    assert told.dropped.by == {"queue": 7}
    goes_on.set()
    told.exporter.close()
    assert told.sent.by == {"": MOST + 1}


@pytest.mark.parametrize("error", [ConnectionRefusedError("no"), TimeoutError("late"), ValueError("the key is sesame")])
def test_no_answer_is_a_problem_of_the_collector_and_no_fault_of_ours(monkeypatch, error):
    def post(*_):
        raise error

    monkeypatch.setattr(exporter, "post", post)
    told = Told("http://127.0.0.1:1", monkeypatch)
    told.exporter.add(span())
    told.exporter.close()
    assert told.dropped.by == {"collector": 1}
    assert f"({type(error).__name__})" in told.said[0]
    assert "sesame" not in told.said[0]
    assert not told.faults


def test_an_end_waits_for_no_collector_that_never_answers(monkeypatch):
    goes_on, asked = threading.Event(), threading.Event()

    def post(*_):
        asked.set()
        goes_on.wait(60)
        return 200

    monkeypatch.setattr(exporter, "post", post)
    monkeypatch.setattr(exporter, "TIMEOUT_S", 0.01)
    told = Told("http://127.0.0.1:1", monkeypatch)
    told.exporter.add(span())
    assert asked.wait(60)
    told.exporter.close()
    assert not told.sent.by, "it still waits"
    goes_on.set()
    told.wait_for(lambda: told.sent.by[""] == 1)


def test_the_status_of_an_answer_is_enough():
    """Of this one the body never comes."""
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:

        def answer():
            connection, _ = listening.accept()
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n")
            return connection  # open, so that nothing ends the body

        accepted = pool.submit(answer)
        assert exporter.post(f"http://127.0.0.1:{listening.getsockname()[1]}", b"{}", {}) == 200
        accepted.result().close()
