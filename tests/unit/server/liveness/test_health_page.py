"""What probes read of supervision."""

import json
import urllib.error
import urllib.request
from http.client import RemoteDisconnected

import pytest

from encserve_server.errors import PortTaken
from encserve_server.liveness.health_page import HealthPage


@pytest.fixture
def page():
    lines = []
    with HealthPage(0, report=lines.append) as page:
        page.lines = lines
        yield page


def get(page, path="/health"):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{page.port}{path}", timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read()) if error.code == 503 else None


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ({"minilm": "answers", "other": "answers"}, 200),
        ({"minilm": "overloaded"}, 200),
        ({"minilm": "answers", "other": "silent"}, 503),
        ({"minilm": "fails"}, 503),
        ({"minilm": "unknown"}, 503),
        ({}, 503),
    ],
)
def test_overload_is_health_and_silence_is_not(page, states, status):
    page.show(lambda: states)
    assert get(page) == (status, states)


def test_before_a_server_has_begun_to_answer_nothing_is_well(page):
    assert get(page) == (503, {})
    assert get(page, "/other")[0] == 404


def test_a_port_that_is_taken_is_named(page):
    with pytest.raises(PortTaken, match=f"port {page.port} of 127.0.0.1 is taken .*--health-port"):
        HealthPage(page.port, report=print)


def test_a_probe_that_hangs_up_is_no_news(page):
    try:
        raise ConnectionResetError(104, "Connection reset by peer")
    except ConnectionResetError:
        page._http.handle_error(None, ("127.0.0.1", 1))
    assert page.lines == []


@pytest.mark.parametrize("part", ["get_request", "process_request"])
def test_probes_are_answered_after_one_could_not_be(page, monkeypatch, part):
    """As where there is no memory for a connection, or no thread for its answer."""
    genuine = getattr(page._http, part)

    def fail_once(*given):
        monkeypatch.setattr(page._http, part, genuine)
        raise MemoryError

    monkeypatch.setattr(page._http, part, fail_once)
    if part == "process_request":
        with pytest.raises((ConnectionError, RemoteDisconnected, urllib.error.URLError)):
            get(page)
    assert get(page) == (503, {})
    assert [line.partition(": ")[2] for line in page.lines] == ["MemoryError()"]
