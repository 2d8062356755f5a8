"""Intervals: their known ends, and how often they have the truth."""

import numpy as np
import pytest

from encserve_lifecycle.comparison.bounds import mean, share


def test_no_failure_in_299_excludes_one_in_a_hundred():
    # The two-sided interval's end for n successes is alpha/2 to the power of 1/n.
    bounded = share(np.ones(299, bool))
    assert (bounded.value, bounded.high) == (1.0, 1.0)
    assert bounded.low == pytest.approx(0.025 ** (1 / 299))


def test_the_interval_of_a_mean_has_the_truth_about_as_often_as_it_says():
    draws = np.random.default_rng(7)
    held = 0
    for _ in range(200):
        bounded = mean(draws.beta(8, 2, 150))
        held += bounded.low <= 0.8 <= bounded.high
    assert 180 <= held <= 199


def test_of_one_value_the_interval_is_that_value():
    assert str(mean(np.array([0.5]))) == "0.500 (0.500 to 0.500)"
