"""The histogram of a real server: how long its callers waited, by lane."""

import time

import pytest
from told_metrics import metric, wait_for_metric

from encserve import InvalidInput

NAME = "encserve_request_duration_seconds"


@pytest.mark.parametrize("lane", ["interactive", "bulk"])
def test_answers_are_counted_with_the_time_that_they_took(server, client, lane):
    labels = {"pipeline": "minilm", "version": "1", "lane": lane}
    before = {kind: metric(server, f"{NAME}_{kind}", **labels) for kind in ("count", "sum")}
    began_s = time.monotonic()
    for number in range(5):
        client.embed([f"text {number}"] * 10, model="minilm", priority=lane)
    took_s = time.monotonic() - began_s
    with pytest.raises(InvalidInput):
        client.embed(["a text"], model="minilm", priority=lane, dimensions=100_000)
    wait_for_metric(server, f"{NAME}_count", before["count"] + 5, **labels)
    assert metric(server, f"{NAME}_bucket", le="+Inf", **labels) == before["count"] + 5
    assert 0 < metric(server, f"{NAME}_sum", **labels) - before["sum"] < took_s


def test_each_bucket_holds_the_smaller_ones(server, client):
    client.embed(["a text"], model="minilm")
    bounds = ("0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1.0", "2.0", "5.0", "10.0", "+Inf")
    counts = [metric(server, f"{NAME}_bucket", le=le, pipeline="minilm", lane="interactive") for le in bounds]
    assert counts == sorted(counts)
