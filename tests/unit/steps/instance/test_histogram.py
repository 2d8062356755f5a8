"""A histogram that is told as counters: what a reader of the metrics sees of it."""

import numpy as np
import pytest

BOUNDS = (0.1, 0.5, 2)


@pytest.fixture
def metrics(triton):
    from encserve_server.steps.instance.metrics import Metrics

    return Metrics({"model_name": "minilm_head", "model_version": "1"})


@pytest.fixture
def histogram(metrics):
    from encserve_server.steps.instance.histogram import Histogram

    return Histogram(metrics, "seconds", "Seconds", BOUNDS)


def told(metrics, histogram, **labels):
    """The buckets by their bound, the count and the sum."""
    metrics.tell(pytest.fail)
    series = tuple(labels.items())
    buckets = {
        dict(key)["le"]: metric.value()
        for key, metric in histogram._buckets._metrics.items()
        if set(series) <= set(key)
    }
    return buckets, histogram._count._metrics[series].value(), histogram._sum._metrics[series].value()


def test_a_bucket_holds_what_is_not_above_its_bound(metrics, histogram):
    for value in (0.0, 0.1, 0.3, 2.0, 2.1, 100.0):
        histogram.observe(value, lane="bulk")
    buckets, count, total = told(metrics, histogram, lane="bulk")
    assert buckets == {"0.1": 2, "0.5": 3, "2.0": 4, "+Inf": 6}
    assert (count, total) == (6, pytest.approx(104.5))


def test_it_grows_and_lanes_are_apart(metrics, histogram):
    histogram.observe(0.3, lane="bulk")
    told(metrics, histogram, lane="bulk")
    histogram.observe(0.05, lane="bulk")
    histogram.observe(1.0, lane="interactive")
    assert told(metrics, histogram, lane="bulk") == ({"0.1": 1, "0.5": 2, "2.0": 2, "+Inf": 2}, 2, pytest.approx(0.35))
    assert told(metrics, histogram, lane="interactive") == ({"0.1": 0, "0.5": 0, "2.0": 1, "+Inf": 1}, 1, 1.0)


def test_its_series_are_there_from_the_beginning(metrics, histogram):
    histogram.expect(lane="bulk")
    assert told(metrics, histogram, lane="bulk") == (dict.fromkeys(("0.1", "0.5", "2.0", "+Inf"), 0), 0, 0)


def test_no_reader_sees_a_bucket_that_holds_less_than_a_smaller_one(metrics, histogram, monkeypatch):
    histogram.expect(lane="bulk")
    metrics.tell(pytest.fail)
    series = {dict(key)["le"]: metric for key, metric in histogram._buckets._metrics.items()}
    seen = []
    metric = type(next(iter(series.values())))
    increment = metric.increment

    def watched(self, by):
        increment(self, by)
        seen.append([series[le].value() for le in ("0.1", "0.5", "2.0", "+Inf")])

    monkeypatch.setattr(metric, "increment", watched)
    histogram.observe(0.3, lane="bulk")
    histogram.observe(0.05, lane="bulk")
    metrics.tell(pytest.fail)
    assert seen[-1] == [1, 2, 2, 2]
    assert all(buckets == sorted(buckets) for buckets in seen)


def test_what_cannot_be_told_is_told_later(metrics, histogram, monkeypatch):
    histogram.observe(0.3, lane="bulk")

    def fail(labels):
        raise OSError("no shared memory")

    with monkeypatch.context() as broken:
        broken.setattr(histogram._buckets._family, "Metric", fail, raising=False)
        metrics.tell(lambda where, error: None)
    assert told(metrics, histogram, lane="bulk") == ({"0.1": 0, "0.5": 1, "2.0": 1, "+Inf": 1}, 1, 0.3)


def test_bounds_are_read(triton):
    from encserve_server.steps.instance.histogram import bounds_from

    assert bounds_from("0.25,1, 4", "BOUNDS") == (0.25, 1.0, 4.0)


@pytest.mark.parametrize("text", ["many", "", "1,", "0,1", "-1,1", "1,1", "2,1", "nan", "1,nan", "1,inf"])
def test_bounds_that_are_none_are_named(triton, text):
    from encserve_server.steps.instance.histogram import bounds_from

    with pytest.raises(ValueError, match=f"BOUNDS is '{text}', expected positive numbers in ascending order"):
        bounds_from(text, "BOUNDS")


def test_many_values_at_once_are_counted_as_one_by_one(metrics, histogram):
    values = np.array([0.0, 0.1, 0.3, 2.0, 2.1, 100.0])
    histogram.observe_all(values[:3], lane="bulk")
    histogram.observe_all(values[3:], lane="bulk")
    buckets, count, total = told(metrics, histogram, lane="bulk")
    assert buckets == {"0.1": 2, "0.5": 3, "2.0": 4, "+Inf": 6}
    assert (count, total) == (6, pytest.approx(104.5))
