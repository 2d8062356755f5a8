"""What probes read of supervision."""

import json
import urllib.error
import urllib.request

import pytest

from encserve_server.errors import PortTaken
from encserve_server.liveness.health_page import HealthPage


@pytest.fixture
def page():
    with HealthPage(0) as page:
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
        HealthPage(page.port)


def test_a_probe_that_hangs_up_is_no_news(page, capsys):
    try:
        raise ConnectionResetError(104, "Connection reset by peer")
    except ConnectionResetError:
        page._http.handle_error(None, ("127.0.0.1", 1))
    assert capsys.readouterr().err == ""
