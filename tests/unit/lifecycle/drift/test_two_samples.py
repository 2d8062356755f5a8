"""Texts of another kind than those of a baseline: how often that is said by chance, and how soon where it is so."""

import numpy as np
import pytest

from encserve_lifecycle.drift import two_samples
from encserve_lifecycle.drift.two_samples import State, Window, by_chance, compare, false_alarms

DIRECTIONS = 32
HOUR_S = 3600.0
MONTH = 720
"""Hours of a month, for which there may be one false alarm."""


class Texts:
    """Vectors of texts along the directions: a few topics, spread unevenly, with long tails, and far from zero."""

    def __init__(self, seed):
        draws = np.random.default_rng(seed)
        self.spread = draws.normal(size=(DIRECTIONS, DIRECTIONS)) * np.geomspace(1, 0.05, DIRECTIONS)
        self.middle = draws.normal(size=DIRECTIONS)
        self.topics = draws.normal(size=(6, DIRECTIONS))

    def draw(self, count, draws):
        tails = draws.standard_t(5, size=(count, DIRECTIONS)) @ self.spread.T * 0.3
        return self.middle + self.topics[draws.integers(0, 6, count)] * 0.5 + tails


def window_of(vectors, *, squares=None):
    squares = len(vectors) if squares is None else squares
    return Window(texts=len(vectors), squares=squares, total=vectors.sum(axis=0))


def judged(window, vectors):
    """What an hour says."""
    covariance = np.cov(vectors, rowvar=False)
    return compare(window, vectors.mean(axis=0), covariance, len(vectors), alpha=false_alarms(HOUR_S))


def distances(means, baseline):
    """How far the means (w, K) of windows are from that of a baseline, in standard deviations of its texts."""
    differences = means - baseline.mean(axis=0)
    return np.sqrt(np.einsum("wk,wk->w", differences @ np.linalg.inv(np.cov(baseline, rowvar=False)), differences))


@pytest.mark.parametrize(("an_hour", "texts"), [(100, 200), (100, 1_000), (300, 300)])
def test_chance_alone_is_above_what_it_explains_once_in_a_hundred_hours_and_never_above_the_margin_too(an_hour, texts):
    """Ten baselines, and of each a hundred hours of texts of its kind: six weeks."""
    draws = np.random.default_rng(0)
    beyond = told = 0
    for seed in range(10):
        kind = Texts(seed)
        baseline = kind.draw(texts, draws)
        hours = kind.draw(an_hour * 100, draws).reshape(100, an_hour, DIRECTIONS)
        found = distances(hours.mean(axis=1), baseline)
        first = judged(window_of(hours[0]), baseline)
        assert first.distance == pytest.approx(found[0])
        beyond += (found > by_chance(an_hour, texts, DIRECTIONS, 0.01)).sum()
        told += (found > first.allowed).sum()
    assert beyond <= 25  # of 10 that are expected
    assert told == 0


def test_texts_that_come_ten_alike_at_a_time_count_as_a_tenth():
    draws = np.random.default_rng(1)
    kind = Texts(0)
    baseline = kind.draw(1_000, draws)
    found = distances(kind.draw(100 * 400, draws).reshape(400, 100, DIRECTIONS).mean(axis=1), baseline)
    window = Window(texts=1_000, squares=100 * 10**2, total=np.zeros(DIRECTIONS))
    assert window.alone == 100
    assert (found > by_chance(window.alone, 1_000, DIRECTIONS, 1 / MONTH)).sum() <= 3
    assert (found > by_chance(window.texts, 1_000, DIRECTIONS, 1 / MONTH)).sum() > 40  # were requests not known


@pytest.mark.parametrize(("count", "squares"), [(0, 0), (99, 99), (10_000, 50 * 200**2)])
def test_windows_of_few_texts_say_nothing(count, squares):
    draws = np.random.default_rng(2)
    kind = Texts(0)
    finding = judged(window_of(kind.draw(count, draws) + 100, squares=squares), kind.draw(500, draws))
    assert finding.state is State.UNKNOWN
    assert finding.allowed == np.inf
    assert finding.alone < two_samples.LEAST


def test_sums_that_are_no_numbers_say_nothing():
    window = Window(texts=500, squares=500, total=np.full(DIRECTIONS, np.nan))
    assert judged(window, np.random.default_rng(0).normal(size=(500, DIRECTIONS))).state is State.UNKNOWN


def test_a_hundred_texts_of_another_kind_are_seen():
    draws = np.random.default_rng(2)
    kind = Texts(0)
    finding = judged(window_of(kind.draw(100, draws) + 100), kind.draw(500, draws))
    assert (finding.state, finding.texts, finding.alone) == (State.DRIFT, 100, 100)


@pytest.mark.parametrize(("moved", "state"), [(0.2, State.SAME), (0.6, State.DRIFT)])
def test_within_the_margin_nothing_is_said_however_many_texts_there_are(moved, state):
    baseline = np.random.default_rng(3).normal(size=(2_000, DIRECTIONS))
    mean = baseline.mean(axis=0) + moved * np.eye(DIRECTIONS)[0]
    assert judged(Window(texts=1e9, squares=1e9, total=1e9 * mean), baseline).state is state


def test_directions_along_which_the_baseline_is_flat_are_left_out():
    """As of vectors of fewer dimensions than there are directions."""
    draws = np.random.default_rng(5)
    few = draws.normal(size=(4, DIRECTIONS))
    finding = judged(window_of(draws.normal(size=(1_000, 4)) @ few), draws.normal(size=(1_000, 4)) @ few)
    assert finding.state is State.SAME
    assert finding.allowed == pytest.approx(two_samples.MARGIN + by_chance(1_000, 1_000, 4, 1 / MONTH))


def test_chance_is_what_hotelling_says():
    """Against T-squared of two samples of the normal distribution, drawn."""
    draws = np.random.default_rng(6)
    beyond, chance = [], by_chance(100, 60, 4, 0.05)
    for _ in range(2_000):
        baseline, window = draws.normal(size=(60, 4)), draws.normal(size=(100, 4))
        difference = window.mean(axis=0) - baseline.mean(axis=0)
        distance = difference @ np.linalg.solve(np.cov(baseline, rowvar=False), difference)
        beyond.append(distance**0.5 > chance)
    assert np.mean(beyond) == pytest.approx(0.05, abs=0.015)


def test_the_budget_of_false_alarms_is_one_a_month():
    assert false_alarms(HOUR_S) == pytest.approx(1 / MONTH)
    assert false_alarms(24 * HOUR_S) == pytest.approx(1 / 30)
    assert false_alarms(30 * 24 * HOUR_S) == 0.05
