"""The simulation of a queue, against what queueing theory says of it."""

import numpy as np
import pytest
from benchmarks.capacity.ideal_queue import alone, sojourns


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_one_processor_takes_as_long_as_theory_says(load):
    """M/M/1: times from arrival to answer are exponential, with a mean of service / (1 - load)."""
    rng = np.random.default_rng(1)
    taken = sojourns(rng.exponential(1.0, 100_000), load=load, processors=1, arrivals=400_000, rng=rng)
    mean = 1 / (1 - load)
    assert taken.mean() == pytest.approx(mean, rel=0.05)
    assert np.percentile(taken, 99) == pytest.approx(mean * np.log(100), rel=0.1)


def test_two_processors_wait_as_erlang_says():
    """M/M/2: a mean wait of service * load**2 / (1 - load**2)."""
    rng = np.random.default_rng(2)
    taken = sojourns(rng.exponential(1.0, 100_000), load=0.7, processors=2, arrivals=400_000, rng=rng)
    assert taken.mean() == pytest.approx(1 + 0.49 / 0.51, rel=0.05)


def test_without_load_nothing_waits():
    taken = sojourns(np.array([2.0]), load=1e-6, processors=1, arrivals=1_000, rng=np.random.default_rng(3))
    assert taken == pytest.approx(np.full(1_000, 2.0), rel=1e-4)


def test_a_long_text_needs_more_than_its_tokens_say():
    short, long = alone(np.array([32.0, 256.0]))
    assert long / short > 256 / (32 + 10)
