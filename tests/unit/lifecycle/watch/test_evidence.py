"""Evidence that may be looked at as often as one likes: how often it is wrong, and how soon it is right."""

import math

import numpy as np
import pytest
from scipy.special import betaln
from scipy.stats import fisher_exact

from encserve_lifecycle.watch.evidence import NOTHING, Count, band, evidence_above
from encserve_lifecycle.watch.traffic import needed_to_clear

from .theory import needed_to_see

ALPHA = 0.05
LIMIT = math.log(1 / ALPHA)


def looked_at(rng, before, candidate, *, looks=100, each=40):
    """Counts of two shares at every look of a watch."""
    hits = np.cumsum(rng.binomial(each, [[before], [candidate]], (2, looks)), axis=1)
    return [(Count(a, each * look), Count(b, each * look)) for look, (a, b) in enumerate(hits.T.tolist(), 1)]


def test_evidence_is_the_mixed_likelihood_by_the_largest_within_the_margin():
    before, candidate = Count(3, 50), Count(20, 60)
    mixed = sum(betaln(each.hits + 0.5, each.of - each.hits + 0.5) - betaln(0.5, 0.5) for each in (before, candidate))
    shares = np.linspace(0.001, 0.9, 200_000)
    likelihoods = (
        3 * np.log(shares) + 47 * np.log1p(-shares) + 20 * np.log(shares + 0.05) + 40 * np.log1p(-shares - 0.05)
    )
    assert evidence_above(candidate, before, 0.05) == pytest.approx(mixed - likelihoods.max(), abs=1e-6)


@pytest.mark.parametrize(("share", "margin"), [(0.02, 0.0), (0.5, 0.0), (0.9, 0.05), (0.001, 0.005)])
def test_many_looks_call_a_share_that_is_not_larger_so_with_the_stated_chance_at_most(share, margin):
    rng = np.random.default_rng(1)
    runs = [looked_at(rng, share, share + margin) for _ in range(100)]
    wrong = sum(any(evidence_above(new, old, margin) > LIMIT for old, new in run) for run in runs)
    assert wrong <= ALPHA * len(runs)


def test_a_test_that_takes_no_account_of_looks_is_wrong_far_more_often():
    """What the others are for: the same counts, and the usual test at each look."""
    rng = np.random.default_rng(1)
    runs = [looked_at(rng, 0.5, 0.5, looks=50) for _ in range(100)]
    tables = [[([old.hits, old.others.hits], [new.hits, new.others.hits]) for old, new in run] for run in runs]
    wrong = sum(any(fisher_exact(table, "less").pvalue < ALPHA for table in run) for run in tables)
    assert wrong > 3 * ALPHA * len(runs)


@pytest.mark.parametrize(("before", "share", "margin"), [(0.0, 0.02, 0.001), (0.3, 0.5, 0.05), (0.02, 0.95, 0.1)])
def test_what_is_worse_is_seen_within_the_traffic_that_is_said_to_be_needed(before, share, margin):
    rng = np.random.default_rng(2)
    needed = needed_to_see(before, share, margin, LIMIT, before=lambda count: 5_000, sure=0.95)

    def seen(count):
        hits, hits_before = rng.binomial(count, share, 1_000), rng.binomial(5_000, before, 1_000)
        return sum(
            evidence_above(Count(new, count), Count(old, 5_000), margin) > LIMIT
            for new, old in zip(hits.tolist(), hits_before.tolist(), strict=True)
        )

    assert seen(needed) >= 0.93 * 1_000  # 95 %, less three standard deviations
    assert seen(needed // 4) < 0.93 * 1_000  # and it is not said to need far more than it does


def test_what_is_as_before_is_cleared_by_the_traffic_that_is_said_to_be_needed():
    before = Count(500, 1_000)
    needed = needed_to_clear(before, 0.5, 0.2, LIMIT)
    assert evidence_above(before, Count(needed / 2, needed), -0.2) > LIMIT
    assert evidence_above(before, Count(needed / 4, needed / 2), -0.2) < LIMIT
    assert needed_to_clear(Count(5, 10), 0.5, 0.2, LIMIT) is None  # ten of the version before are too few
    assert needed_to_clear(NOTHING, 0.5, 0.2, LIMIT) is None


def test_more_hits_are_more_evidence_and_more_before_are_less():
    of_hits = [evidence_above(Count(hits, 100), Count(10, 100), 0.05) for hits in range(20, 101, 10)]
    assert of_hits == sorted(of_hits)
    of_before = [evidence_above(Count(50, 100), Count(hits, 100), 0.05) for hits in range(0, 45, 5)]
    assert of_before == sorted(of_before, reverse=True)


def test_without_traffic_there_is_no_evidence():
    assert evidence_above(NOTHING, Count(0, 1_000), 0.0) == 0
    assert evidence_above(Count(1_000, 1_000), NOTHING, 0.0) == 0
    assert evidence_above(Count(5, 100), Count(5, 100), 0.0) <= 0


@pytest.mark.parametrize("share", [0.0, 0.01, 0.4, 1.0])
def test_a_band_holds_its_share_at_every_look(share):
    rng = np.random.default_rng(3)
    missed = 0
    for _ in range(100):
        bands = [band(new, ALPHA) for _, new in looked_at(rng, 0.0, share, looks=30)]
        missed += not all(each.low <= share <= each.high for each in bands)
    assert missed <= ALPHA * 100
    assert bands[-1].high - bands[-1].low < bands[0].high - bands[0].low


def test_a_band_of_nothing_is_everything():
    assert (band(NOTHING, ALPHA).low, band(NOTHING, ALPHA).high) == (0.0, 1.0)
