"""The sums of a window, out of what a server or a Prometheus says."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from encserve_lifecycle.drift.counted import window_of
from encserve_lifecycle.drift.prometheus import read_window
from encserve_lifecycle.watch.series import Growth, parse_series


def page(scale, *, directions=2, version=1):
    labels = f'model="minilm_head",version="{version}"'
    lines = [
        f'encserve_projection_sum{{{labels},direction="{number}",side="{side}"}} {scale * (number + 1) * size}'
        for number in range(directions)
        for side, size in (("above", 3), ("below", 1))
    ]
    lines += [f"encserve_summed_vectors{{{labels}}} {scale * 10}"]
    lines += [f"encserve_summed_vectors_squared{{{labels}}} {scale * 40}"]
    return parse_series("\n".join(lines), {"minilm_head"})


def test_a_window_is_what_grew_through_a_restart_too():
    grown = Growth(page(5))
    grown.take(page(7))
    grown.take(page(1))  # it began anew
    window = window_of(grown, "minilm", 1, 2)
    assert (window.texts, window.squares, window.alone) == (30, 120, 7.5)
    assert window.total.tolist() == [6, 12]


@pytest.mark.parametrize(("version", "directions"), [(2, 2), (1, 3)])
def test_sums_of_another_version_or_of_fewer_directions_are_none(version, directions):
    grown = Growth(page(5))
    grown.take(page(7))
    assert window_of(grown, "minilm", version, directions) is None


@pytest.fixture
def prometheus():
    """What answers as a Prometheus does, with the queries that it got and what it says to each name of a metric."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self):
            (query,) = parse_qs(urlsplit(self.path).query)["query"]
            self.server.asked.append(query)
            result = next((own for name, own in self.server.says.items() if f"{name}{{" in query), [])
            body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body if self.server.well else b'{"status": "error"}')

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answering)
    server.asked, server.says, server.well = [], {}, True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_sums_of_a_prometheus(prometheus):
    sums = [
        {"metric": {"direction": str(number), "side": side}, "value": [0, size]}
        for number in range(2)
        for side, size in (("above", "3.5"), ("below", "1"))
    ]
    prometheus.says = {
        "encserve_projection_sum": sums,
        "encserve_summed_vectors": [{"metric": {}, "value": [0, "200"]}],
        "encserve_summed_vectors_squared": [{"metric": {}, "value": [0, "400"]}],
    }
    window = read_window(f"http://127.0.0.1:{prometheus.server_port}/", "minilm", 3, 2, 3600.0)
    assert (window.texts, window.squares, window.alone) == (200, 400, 100)
    np.testing.assert_array_equal(window.total, [2.5, 2.5])
    assert prometheus.asked[1] == 'sum(increase(encserve_summed_vectors{model="minilm_head", version="3"}[3600s]))'


def test_a_prometheus_without_the_sums_has_no_window(prometheus):
    assert read_window(f"http://127.0.0.1:{prometheus.server_port}", "minilm", 3, 2, 3600.0) is None


def test_what_is_no_prometheus_is_said(prometheus):
    prometheus.well = False
    with pytest.raises(OSError, match="does not answer as a Prometheus does"):
        read_window(f"http://127.0.0.1:{prometheus.server_port}", "minilm", 3, 2, 3600.0)
