"""What a step that answers late tells Triton's metrics."""

import pytest

ARGS = {"model_name": "minilm_encode", "model_version": "1"}


@pytest.fixture
def metrics(triton):
    from encserve_server.steps.instance.metrics import Metrics

    return Metrics(ARGS)


@pytest.fixture
def times(metrics):
    from encserve_server.steps.instance.batch_times import BatchTimes

    return BatchTimes(metrics)


def told(metrics, times):
    metrics.tell(pytest.fail)
    return [counter._metrics[()].value() for counter in (times._waited, times._computed)]


def test_a_batch_counts_once_for_each_of_its_requests(metrics, times):
    times.add([0.5, 0.25], 0.1)
    assert told(metrics, times) == [750_000, 200_000]


def test_the_sums_grow_and_are_told_once(metrics, times):
    times.add([0.5], 0.1)
    assert told(metrics, times) == [500_000, 100_000]
    assert told(metrics, times) == [500_000, 100_000]
    times.add([], 0.3)
    times.add([0.1], 0.0)
    assert told(metrics, times) == [600_000, 100_000]


def test_a_metric_that_cannot_be_told_is_told_later_and_holds_up_no_other(metrics, monkeypatch):
    first, second = (metrics.counter(name, "") for name in ("first", "second"))
    for counter in (first, second):
        counter.add(2, lane="bulk")
    reported = []
    series = (("lane", "bulk"),)

    def fail(labels):
        raise OSError("no shared memory")

    with monkeypatch.context() as broken:
        broken.setattr(first._family, "Metric", fail, raising=False)
        metrics.tell(lambda where, error: reported.append((where, str(error))))
    assert reported == [("metrics", "no shared memory")]
    assert second._metrics[series].value() == 2
    metrics.tell(pytest.fail)
    assert first._metrics[series].value() == 2


def test_the_thread_tells_until_it_is_closed(metrics, monkeypatch):
    from encserve_server.steps.instance import metrics as module

    monkeypatch.setattr(module, "PERIOD_S", 0.01)
    counter = metrics.counter("texts", "")
    metrics.start(pytest.fail)
    counter.add(3)
    while not counter._metrics or counter._metrics[()].value() < 3:
        pass
    metrics.close()
    assert not metrics._thread.is_alive()


def test_work_is_shown_as_it_grows_and_shrinks(metrics):
    from encserve_server.steps.instance.load_page import Load

    loads = {"interactive": Load(tokens=0, rate=0, room=1), "bulk": Load(tokens=7, rate=100, room=1)}
    metrics.work(loads.get)
    gauges = metrics._all
    metrics.tell(pytest.fail)
    loads["interactive"], loads["bulk"] = Load(tokens=30, rate=200, room=1), Load(tokens=3, rate=50, room=1)
    metrics.tell(pytest.fail)
    assert [gauge._metric.value() for gauge in gauges] == [30, 3, 200, 50]  # tokens by lane, then their rates


def test_an_amount_without_lanes_is_shown_as_it_grows_and_shrinks(metrics):
    amounts = iter([7, 3])
    metrics.amount("bytes", "", lambda: next(amounts))
    for expected in (7, 3):
        metrics.tell(pytest.fail)
        assert metrics._all[0]._metric.value() == expected


def test_series_are_there_from_the_beginning(metrics):
    counter = metrics.counter("faults", "")
    counter.expect(where="execute")
    metrics.start(pytest.fail)
    assert counter._metrics[("where", "execute"),].value() == 0
    metrics.close()
