"""Counters out of a page of metrics, and their growth."""

import socket
import threading
from contextlib import contextmanager

import pytest

from encserve_lifecycle.watch.series import Growth, parse_series, read_series

PAGE = r"""
# HELP encserve_first_labels Texts by the label with the highest score
# TYPE encserve_first_labels counter
encserve_first_labels{label="a \"b\", \\ c",model="topics_head",version="1"} 3
encserve_first_labels{label="other",model="topics_head",version="2"} 4
encserve_first_labels{label="other",model="others_head",version="1"} 5
nv_cpu_utilization 0.5
nv_gpu_power{gpu="0"} none
encserve_first_labels{label="bad",model="topics_head",version="1"} many
"""


def test_counters_of_the_models_are_read_with_their_labels():
    series = parse_series(PAGE, ["topics_head"])
    assert set(series.values()) == {3.0, 4.0}
    growth = Growth({})
    growth.take(series)
    assert growth.by("label", "encserve_first_labels", ["topics_head"], version="1") == {'a "b", \\ c': 3.0}
    assert growth.total("encserve_first_labels", ["topics_head"], 2) == 4.0


def series(**values):
    return {("texts", frozenset({("model", "m"), ("version", "1"), ("lane", lane)})): v for lane, v in values.items()}


def test_growth_is_since_the_first_page_and_goes_on_where_a_counter_begins_anew():
    growth = Growth(series(bulk=100.0))
    growth.take(series(bulk=110.0))
    growth.take(series(bulk=4.0, interactive=2.0))  # the server was started again
    growth.take({})  # a page without the model, which is being loaded
    growth.take(series(bulk=5.0, interactive=2.0))
    assert growth.total("texts", ["m"], 1) == 10 + 5 + 2
    assert growth.by("lane", "texts", ["m"], without=("lane", "bulk")) == {"interactive": 2.0}
    assert growth.by("lane", "texts", ["m"], version="1", lane="bulk") == {"bulk": 15.0}
    assert growth.total("texts", ["m"], 2) == growth.total("others", ["m"], 1) == 0


def test_a_counter_that_has_not_grown_is_there():
    assert Growth(series(bulk=7.0)).by("lane", "texts", ["m"]) == {"bulk": 0.0}


@pytest.mark.parametrize("url", ["metrics", "http://localhost:many/metrics", "http://local host/metrics"])
def test_what_is_no_address(url):
    with pytest.raises(OSError, match="no whole page of metrics"):
        read_series(url, [])


@contextmanager
def answering(said):
    """The address of a server that says the same to everybody who asks."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            asking, _ = listening.accept()
            with asking:
                asking.recv(4096)
                asking.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/metrics"
        thread.join()


@pytest.mark.parametrize(
    "said",
    [
        b"\0\0\x06\x04 HTTP/2 of gRPC\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n\xff",
        b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\na",
    ],
    ids=["gRPC", "no text", "too short"],
)
def test_what_is_no_page_of_metrics(said):
    with answering(said) as url, pytest.raises(OSError, match="no whole page of metrics"):
        read_series(url, [])


def test_an_address_without_a_server():
    with pytest.raises(OSError, match="refused"):
        read_series("http://127.0.0.1:9/metrics", [])
