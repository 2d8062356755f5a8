"""Both thresholds of a cascade, out of what two pipelines say of texts."""

from pathlib import Path

import numpy as np
import pytest

from encserve_export.cascade.asking import Said
from encserve_export.cascade.config import CascadeConfig
from encserve_export.cascade.fitting import check_count, fit_cascade
from encserve_export.cascade.texts import FittingText
from encserve_export.errors import CertificateFailed, InvalidConfig

COUNT = 2_000


def config(**changes):
    return CascadeConfig(**{"name": "both", "small": "a", "large": "b", "texts": Path("texts.txt")} | changes)


def said(scores, wrong, seconds=0.1):
    labels = np.where(np.broadcast_to(wrong, len(scores)), "no", "yes")
    return Said(labels=labels, scores=np.asarray(scores, np.float32), seconds_per_text=seconds)


def texts(count=COUNT, label="yes"):
    return [FittingText(text=str(number), label=label) for number in range(count)]


@pytest.fixture
def scores():
    return np.random.default_rng(0).uniform(0.5, 1, COUNT)


def test_the_share_that_goes_on_and_how_much_faster_that_is(scores):
    small, large = said(scores, scores < 0.75, 0.001), said(scores, scores < 0, 0.01)
    fitted = fit_cascade(config(), texts(), small, large)
    assert fitted.threshold.threshold == pytest.approx(0.75, abs=0.03)
    assert fitted.escalated == pytest.approx((scores < fitted.threshold.threshold).mean())
    assert fitted.speed_up == pytest.approx(0.01 / (0.001 + fitted.escalated * 0.01))
    assert fitted.review is None


def test_marked_for_review_is_what_the_large_one_is_unsure_of(scores):
    of_large = np.random.default_rng(1).uniform(0.5, 1, COUNT)
    small, large = said(scores, scores < 0.7), said(of_large, (of_large < 0.6) & (scores < 0.7), 1.0)
    fitted = fit_cascade(config(agreement=0.98, most_wrong=0.02), texts(), small, large)
    assert fitted.threshold.texts == fitted.review.texts == COUNT // 2, "each has a half"
    second = slice(COUNT // 2, COUNT)
    unsure = scores[second] < fitted.threshold.threshold
    marked = unsure & (of_large[second] < fitted.review.threshold)
    assert fitted.reviewed == pytest.approx(marked.mean())
    wrong = np.where(unsure, large.labels[second] == "no", small.labels[second] == "no")
    assert fitted.review.wrong == (wrong & ~marked).sum()
    assert fitted.review.bound <= 0.02


@pytest.mark.parametrize(
    ("changes", "count", "words"),
    [
        ({}, 0, r"--agreement 0.99: 0 texts cannot show it .* 299 are the least"),
        ({}, 298, r"--agreement 0.99: 298 texts cannot show it"),
        (
            {"most_wrong": 0.05},
            597,
            r"--agreement 0.99: 298 texts of 597, the half for it, cannot .* 299 are the least",
        ),
        ({"most_wrong": 0.005}, 600, r"--most-wrong 0.005: 300 texts of 600, the half for it, .* 598 are the least"),
    ],
)
def test_too_few_texts_are_refused_before_anybody_is_asked(changes, count, words):
    with pytest.raises(CertificateFailed, match=words):
        check_count(config(**changes), count)


def test_so_many_texts_are_enough():
    check_count(config(), 299)
    check_count(config(most_wrong=0.05), 598)


def test_what_cannot_be_shown_is_refused(scores):
    with pytest.raises(CertificateFailed, match=r"99.\d% of the texts would go to b, .* about 0 of 2000"):
        fit_cascade(config(), texts(), said(scores, scores > 0, 0.1), said(scores, scores < 0))
    with pytest.raises(CertificateFailed, match=r"other labels than b even where its score is 1; .* about 0 of 2000"):
        fit_cascade(config(), texts(), said(np.ones(COUNT), scores > 0), said(scores, scores < 0))
    alike = said(scores, scores < 0)
    with pytest.raises(CertificateFailed, match=r"--most-wrong 0.01: 1000 texts do not show it .* a is sure of 1000"):
        fit_cascade(config(most_wrong=0.01), texts(label="no"), alike, alike)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"agreement": 1.0}, "--agreement 1: a share between 0 and 1"),
        ({"most_wrong": 0.0}, "--most-wrong 0: a share between 0 and 1"),
        ({"confidence": 95}, "--confidence 95: a share between 0 and 1"),
        ({"name": "x_cascade"}, "without the endings .*_cascade"),
        ({"name": "../x"}, "the name '../x' of a cascade"),
        ({"large": "a"}, "are three, not both, a and a"),
    ],
)
def test_what_a_cascade_cannot_be(changes, message):
    with pytest.raises(InvalidConfig, match=message):
        config(**changes)
