"""What is said of two classifiers whose difference is known."""

import numpy as np
import pytest

from encserve import InvalidInput
from encserve_lifecycle.comparison.labels import compare_labels
from encserve_lifecycle.comparison.reading import Texts
from encserve_lifecycle.comparison.verdict import of_labels

from .two_pipelines import labels_of, pipeline, sides_of

WORDS = [f"text number {index}" for index in range(100)]


def compared(old, new, labels=(), names=("no", "yes")):
    task = {"task": "text-classification", "dimensions": 2}
    pipelines = [pipeline("old", labels=("no", "yes"), **task), pipeline("new", labels=names, **task)]
    texts = Texts(texts=WORDS, ids=WORDS, labels=list(labels), relevant=[], repeated=0)
    return compare_labels(sides_of(pipelines, {"old": labels_of(old), "new": labels_of(new)}), texts)


def yes(chances):
    return {text: {"yes": chance, "no": 1 - chance} for text, chance in zip(WORDS, chances, strict=True)}


def test_labels_that_changed_are_counted_with_their_leads():
    chances = np.full(100, 0.9)
    chances[:4] = 0.6
    changed = chances.copy()
    changed[:4] = 0.4
    found = compared(yes(chances), yes(changed))
    assert found.same.value == 0.96
    ((change),) = found.changes
    assert (change.old, change.new, change.count) == ("yes", "no", 4)
    assert change.median_lead == pytest.approx(0.2, abs=1e-6)
    assert found.leads == pytest.approx((0.2, 0.2), abs=1e-6)
    assert found.difference == pytest.approx(0.2, abs=1e-6)
    assert found.quality is None


def test_labels_that_are_right_decide_which_is_better():
    right = ["yes"] * 100
    good, bad = np.full(100, 0.9), np.where(np.arange(100) < 20, 0.1, 0.9)
    found = compared(yes(good), yes(bad), right)
    old, new = found.quality
    assert (old.accuracy.value, new.accuracy.value) == (1.0, 0.8)
    assert found.exact_p == pytest.approx(2 * 0.5**20)
    assert of_labels(found)[0].detail.startswith("one is better than the other")
    assert old.macro_f1 == 1.0


def test_a_few_texts_do_not_tell_which_is_better():
    right = ["yes"] * 100
    first, then = np.full(100, 0.9), np.full(100, 0.9)
    first[0] = then[1] = then[2] = 0.1
    found = compared(yes(first), yes(then), right)
    assert found.exact_p == 1.0
    assert "too few" in of_labels(found)[0].detail


def test_calibration_tells_scores_that_are_probabilities_from_others():
    draws = np.random.default_rng(0)
    right = np.where(draws.random(100) < 0.7, "yes", "no").tolist()
    found = compared(yes(np.full(100, 0.7)), yes(np.full(100, 0.999)), right)
    fair, vain = found.quality
    assert fair.calibration_error < fair.error_by_chance
    assert vain.calibration_error > 0.2 > vain.error_by_chance


def test_pipelines_without_a_common_label_and_strange_labels_are_refused():
    scores = yes(np.full(100, 0.9))
    other = {text: {"good": 0.5, "bad": 0.5} for text in WORDS}
    with pytest.raises(InvalidInput, match="share no label"):
        compared(scores, other, names=("good", "bad"))
    with pytest.raises(InvalidInput, match="'maybe'"):
        compared(scores, scores, ["maybe"] * 100)
