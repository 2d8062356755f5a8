"""The histogram of a real server: how long its callers waited, by lane."""

import time

import pytest
from serving import serve_config
from told_metrics import metric, wait_for_metric

from encserve import Client, InvalidInput
from encserve_server.launcher.server import TritonServer

NAME = "encserve_request_duration_seconds"


@pytest.fixture(scope="module")
def server(repository):
    """One that nobody else asks: counts are told a second late, and those of others would come in between."""
    with TritonServer(serve_config(repository, models=("minilm",))) as running:
        yield running


@pytest.fixture(scope="module")
def client(server):
    with Client(server.grpc_url, timeout_s=300) as connected:
        yield connected


@pytest.mark.parametrize("lane", ["interactive", "bulk"])
def test_answers_are_counted_with_the_time_that_they_took(server, client, lane):
    labels = {"pipeline": "minilm", "version": "1", "lane": lane}
    began_s = time.monotonic()
    for number in range(5):
        client.embed([f"text {number}"] * 10, model="minilm", priority=lane)
    took_s = time.monotonic() - began_s
    with pytest.raises(InvalidInput):
        client.embed(["a text"], model="minilm", priority=lane, dimensions=100_000)
    wait_for_metric(server, f"{NAME}_count", 5, **labels)
    assert metric(server, f"{NAME}_bucket", le="+Inf", **labels) == 5
    assert 0 < metric(server, f"{NAME}_sum", **labels) < took_s
    bounds = ("0.001", "0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1.0", "2.0", "5.0", "10.0", "+Inf")
    counts = [metric(server, f"{NAME}_bucket", le=le, **labels) for le in bounds]
    assert counts == sorted(counts)
