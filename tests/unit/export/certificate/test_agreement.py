"""How two answers of each kind are compared, and what a share of decisions says."""

import numpy as np
import pytest

from encserve_export.certificate.figures.agreement import agreement_bounds, difference_of
from encserve_export.certificate.figures.figure import Figure
from encserve_export.certificate.figures.parity import Agreement, AnswerParity, LogitParity
from encserve_export.certificate.limits import PARITY_LIMITS, limits_for
from encserve_export.config import Precision
from encserve_export.reference.messages import Answer

LIMITS = limits_for(Precision.FP32, {})


def answer(kind, numbers, keys=()):
    return Answer(kind, np.array(numbers, np.float32), tuple(keys))


def test_numbers_are_compared_place_by_place_and_must_be_as_many():
    assert difference_of(answer("numbers", [1, 2]), answer("numbers", [1, 2.5])).largest == 0.5
    assert difference_of(answer("numbers", [1]), answer("numbers", [1, 2])).largest == np.inf
    assert np.isnan(difference_of(answer("numbers", [np.nan]), answer("numbers", [1])).largest)


def test_a_token_that_is_missing_weighs_nothing():
    ours, theirs = answer("weights", [2, 1], [5, 7]), answer("weights", [2, 0.25], [5, 8])
    assert difference_of(ours, theirs).largest == 1


@pytest.mark.parametrize(
    ("ours", "lost"), [(["a", "b"], ()), (["b", "a"], (0.5,)), (["b", "c"], (0.5,))], ids=["same", "swapped", "others"]
)
def test_of_ranked_keys_the_first_one_is_a_decision(ours, lost):
    difference = difference_of(answer("ranked", [0.75, 0.25], ours), answer("ranked", [0.75, 0.25], ["a", "b"]))
    assert (difference.decided, difference.lost_leads) == (1, lost)


def test_keys_that_are_equally_likely_may_come_in_any_order():
    difference = difference_of(answer("ranked", [0.5, 0.5], ["a", "b"]), answer("ranked", [0.5, 0.5], ["b", "a"]))
    assert (difference.largest, difference.lost_leads) == (0, ())


def test_a_ranking_whose_numbers_rise_is_none():
    ours, theirs = answer("ranked", [0.25, 0.75], ["b", "a"]), answer("ranked", [0.75, 0.25], ["a", "b"])
    assert difference_of(ours, theirs).largest == 0.5


@pytest.mark.parametrize("kind", ["weights", "ranked"])
def test_a_nan_is_seen_also_at_a_key_that_only_one_side_has(kind):
    ours, theirs = answer(kind, [0.5, np.nan], ["a", "b"]), answer(kind, [0.5, 0.25], ["a", "c"])
    assert np.isnan(difference_of(ours, theirs).largest)
    assert np.isnan(difference_of(theirs, ours).largest)


def test_each_entity_is_a_decision_with_its_place_and_text():
    ours = answer("found", [0.9, 0.8], [("PER", 0, 4, "Anna"), ("LOC", 9, 13, "Rome")])
    theirs = answer("found", [0.9, 0.7], [("PER", 0, 4, "Anna"), ("LOC", 8, 12, "Rome")])
    difference = difference_of(ours, theirs)
    assert (difference.largest, difference.decided) == (0, 3)
    assert difference.lost_leads == pytest.approx((0.8, 0.7))


def test_the_bounds_are_those_of_clopper_and_pearson():
    """Against the table of Brown, Cai and DasGupta 2001, and the closed forms at the ends."""
    assert agreement_bounds(5, 10) == pytest.approx((0.1871, 0.8129), abs=1e-4)
    assert agreement_bounds(64, 64) == pytest.approx((0.025 ** (1 / 64), 1.0))
    assert agreement_bounds(0, 10) == pytest.approx((0.0, 1 - 0.025 ** (1 / 10)))


@pytest.mark.parametrize("share", ["argmax_agreement", "answers_agreement"])
@pytest.mark.parametrize("precision", Precision)
def test_one_label_of_64_decides_nothing_and_ten_do(precision, share):
    for changed, holds in ((1, True), (10, False)):
        agreement = Agreement()
        for text in range(64):
            agreement.add(text, 1, [0.01 * (text + 1)] if text < changed else [])
        (figure,) = agreement.figure(share, getattr(PARITY_LIMITS[precision], share))
        assert figure.holds is holds
        assert figure.measured == 1 - changed / 64
        stated = agreement.stated(2.0)
        assert stated["changed"] == changed
        assert (stated["smallest_lost_lead"], stated["largest_lost_lead"]) == (0.005, 0.005 * changed)
    assert "(with 95 % confidence between " in figure.complaint()


def test_no_decision_makes_no_figure_and_a_nan_keeps_no_limit():
    assert Agreement().figure("argmax_agreement", 1.0) == []
    assert not Figure("max_abs_diff", float("nan"), 1.0).holds
    parity = AnswerParity()
    assert parity.figures(LIMITS) == []
    parity.add(0, [(answer("numbers", [np.nan, 1]),)], [(answer("numbers", [1, 1]),)], vectors=True)
    assert {figure.name for figure in parity.figures(LIMITS) if figure.holds} == set()


@pytest.mark.parametrize("moved", ["score", "vector"])
def test_vectors_and_the_scores_beside_them_are_both_compared_in_company(moved):
    """As late interaction answers: what tokens are, and what documents are worth beside a query."""
    alone, together = (
        (answer("numbers", [0.6, right]), answer("ranked", [20 * score, 10], keys=[0, 1]))
        for right, score in ((0.8, 1.0), (0.9, 1.0) if moved == "vector" else (0.8, 1.01))
    )
    parity, same = AnswerParity(), AnswerParity()
    parity.add(0, [alone], [together], vectors=True)
    same.add(0, [alone], [alone], vectors=True)
    (figure,) = parity.in_company(LIMITS, vectors=True)
    assert figure.name == "company_max_abs_diff"
    assert not figure.holds
    assert all(figure.holds for figure in same.in_company(LIMITS, vectors=True))


def test_a_label_that_changes_is_counted_unless_the_logits_are_tied():
    parity = LogitParity()
    parity.add(0, np.array([[1, 2], [2, 1]], np.float32), np.array([[2, 1], [2, 1]], np.float32))
    parity.add(1, np.array([[1, 2]], np.float32), np.array([[2.00001, 2]], np.float32))
    agreement, _ = parity.figures(LIMITS)
    assert agreement.measured == pytest.approx(2 / 3)
    assert agreement.worst_text == 0
    assert parity.stated()["changed"] == 1
