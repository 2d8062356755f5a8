"""What a step that answers late tells Triton's metrics."""

import pytest

ARGS = {"model_name": "minilm_encode", "model_version": "1"}


@pytest.fixture
def times(triton):
    from encserve_server.models.batch_times import BatchTimes

    return BatchTimes(ARGS)


def told(times):
    times.tell()
    return times._waited._metric.value, times._computed._metric.value


def test_a_batch_counts_once_for_each_of_its_requests(times):
    times.add([0.5, 0.25], 0.1)
    assert told(times) == (750_000, 200_000)


def test_the_sums_grow_and_are_told_once(times):
    times.add([0.5], 0.1)
    assert told(times) == (500_000, 100_000)
    assert told(times) == (500_000, 100_000)
    times.add([], 0.3)
    times.add([0.1], 0.0)
    assert told(times) == (600_000, 100_000)
