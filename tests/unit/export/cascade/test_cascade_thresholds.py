"""Thresholds, against what they state of texts that nobody has seen."""

import numpy as np
import pytest
from scipy.stats import binomtest

from encserve_export.cascade.thresholds import THRESHOLDS, fit, least_texts, upper_bound

MOST, CONFIDENCE = 0.05, 0.9


def drawn(draws, texts):
    """Scores, and whether the first label is wrong: the surer, the rarer."""
    scores = draws.uniform(0.3, 1, texts).astype(np.float32)
    return scores, draws.uniform(size=texts) < (1 - scores) * 0.8


def test_the_bound_is_that_of_clopper_and_pearson():
    for wrong, texts in ((0, 299), (3, 400), (40, 40)):
        exact = binomtest(wrong, texts).proportion_ci(0.9, method="exact").high  # two-sided, with 5 % on either side
        assert upper_bound(wrong, texts, 0.95) == pytest.approx(exact)


def test_so_many_texts_are_needed_and_no_fewer():
    assert least_texts(0.01, 0.95) == 299
    assert upper_bound(0, 299, 0.95) <= 0.01 < upper_bound(0, 298, 0.95)


def test_thresholds_fall_and_end_with_all_scores():
    assert list(THRESHOLDS) == sorted(set(THRESHOLDS), reverse=True)
    assert THRESHOLDS[0] < 1
    assert THRESHOLDS[-1] == 0


def test_what_is_stated_fails_no_more_often_than_is_stated():
    """Of 300 fits a tenth may have a threshold at which more is wrong: more than 48 once in 2,000 runs of other seeds.
    Were the threshold taken that looks best, a third would."""
    draws = np.random.default_rng(3)
    many, wrong = drawn(draws, 200_000)
    shares = {each: float(((many >= each) & wrong).mean()) for each in THRESHOLDS}
    failed = looked_best = 0
    for _ in range(300):
        scores, false = drawn(draws, 300)
        fitted = fit(scores, false, most=MOST, confidence=CONFIDENCE)
        assert fitted is not None
        failed += shares[fitted.threshold] > MOST
        looked_best += shares[min(each for each in THRESHOLDS if ((scores >= each) & false).mean() <= MOST)] > MOST
    assert failed <= 48
    assert looked_best > 60


def test_the_lowest_that_holds_is_taken():
    scores = np.linspace(0, 1, 1_000, dtype=np.float32)
    fitted = fit(scores, scores < 0.5, most=0.01, confidence=0.95)
    lower = THRESHOLDS[THRESHOLDS.index(fitted.threshold) + 1]
    assert fitted.sure == (scores >= fitted.threshold).sum()
    assert fitted.wrong == ((scores >= fitted.threshold) & (scores < 0.5)).sum()
    assert fitted.bound == upper_bound(fitted.wrong, 1_000, 0.95) <= 0.01
    assert upper_bound(int(((scores >= lower) & (scores < 0.5)).sum()), 1_000, 0.95) > 0.01


def test_texts_that_are_wrong_anyway_count():
    scores = np.full(400, 0.9, np.float32)
    none = np.zeros(400, bool)
    assert fit(scores, none, most=0.01, confidence=0.95).threshold == 0
    assert fit(scores, none, most=0.01, confidence=0.95, besides=4) is None
    assert fit(scores, none, most=0.01, confidence=0.95, besides=4, of=4_000).bound < 0.01


def test_too_few_texts_show_nothing():
    assert fit(np.ones(298, np.float32), np.zeros(298, bool), most=0.01, confidence=0.95) is None
