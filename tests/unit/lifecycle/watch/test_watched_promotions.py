"""Whole promotions with a watch, of versions that are bad in one way, or good, on a simulated server."""

import math

import pytest

from encserve_lifecycle.watch import watch as watching
from encserve_lifecycle.watch.judgement import State
from encserve_lifecycle.watch.signals import ALPHA, PHASES, SIGNALS
from encserve_server.administration import watched_promotion
from encserve_server.administration.watched_promotion import KEPT, LOOK_S, ROLLED_BACK, UNKNOWN

from .simulated import BAD, GOOD, Behaviour, SimulatedServer
from .theory import needed_to_see

HALF_AN_HOUR = {"duration_s": 1_800.0, "share": 0.2}


@pytest.fixture
def seldom(monkeypatch):
    """A look every half minute, where what is asked does not depend on how often one looks."""
    monkeypatch.setattr(watched_promotion, "LOOK_S", 30.0)


@pytest.mark.usefixtures("seldom")
@pytest.mark.parametrize("versions", [60, pytest.param(200, marks=pytest.mark.slow)])
def test_of_good_versions_no_more_are_rolled_back_than_is_stated(versions):
    """With twenty looks each; what more looks do, `test_evidence` asks."""
    verdicts = []
    for seed in range(versions):
        server = SimulatedServer(candidate=GOOD, seed=seed)
        verdicts.append(server.watched().run(duration_s=600.0, share=0.2).verdict)
    assert verdicts.count(ROLLED_BACK) <= ALPHA * len(verdicts)
    assert set(verdicts) <= {ROLLED_BACK, KEPT, UNKNOWN}


COMPARED = {
    "NaN on one text in fifty": ("not finite", 0.0, 0.02, 1),
    "twice as slow": ("latency", 0.02, 0.94, 16),  # longer than 15 or 20 ms, of 12 and 24 ms with a spread of 0.3
    "shifted labels": ("labels", 0.3, 0.5, 2 * 3),
    "wrong pooling": ("vectors", 0.3, 0.7, 2 * 32),
    "one request in twenty fails": ("failures", 0.001, 0.05, 1),
}
"""Bad version -> the signal that shows it, two shares of which it has the second, and how many are compared."""


@pytest.mark.parametrize("name", BAD)
def test_a_bad_version_is_rolled_back_within_the_traffic_that_the_theory_needs(name):
    signal_name, old, new, compared = COMPARED[name]
    signal = next(each for each in SIGNALS if each.name == signal_name)
    limit = math.log(len(SIGNALS) * PHASES * compared / ALPHA)
    server = SimulatedServer(candidate=BAD[name])
    outcome = server.watched().run(**HALF_AN_HOUR)
    assert outcome.verdict == ROLLED_BACK
    assert server.active == 1
    assert server.stated() == (1, None)
    needed = needed_to_see(old, new, signal.margin, limit, before=lambda count: 4 * count, sure=0.999)
    assert server.asked[2] <= needed + 2 * server.rate * LOOK_S  # of four in five callers, version 1 is asked


def test_a_version_that_only_everybody_sees_is_rolled_back_from_there():
    """Nobody who embeds without a name is in the share of a canary."""
    server = SimulatedServer(candidate=BAD["NaN on one text in fifty"])
    canary = server.canary
    server.canary = lambda version, share, **_: canary(version, 1e-9)
    outcome = server.watched().run(**HALF_AN_HOUR)
    assert outcome.verdict == ROLLED_BACK
    assert [each for each in server.done if each in ("canary", "end canary", "promote", "rollback")] == [
        "canary",
        "promote",
        "rollback",
    ]
    assert "texts with NaN or infinity are " in outcome.because


@pytest.mark.usefixtures("seldom")
def test_a_good_version_with_enough_traffic_is_kept_as_no_worse():
    server = SimulatedServer(candidate=GOOD, rate=40.0)
    watched = server.watched()
    assert watched.run(**HALF_AN_HOUR).verdict == KEPT
    assert server.active == 2
    states = {each.signal.name: each.state for each in watched.watch.settled()}
    assert states.pop("scores") is State.NOT_COMPARED  # which this server does not count
    assert set(states.values()) == {State.NO_WORSE}


@pytest.mark.parametrize("rate", [0.0, 0.01])
def test_not_enough_traffic_is_an_answer(rate):
    server = SimulatedServer(candidate=BAD["NaN on one text in fifty"], rate=rate)
    outcome = server.watched().run(duration_s=300.0, share=0.2)
    assert outcome.verdict == UNKNOWN
    assert "there was not enough traffic to say that it is no worse: failures, not finite" in outcome.because
    assert server.active == 2


@pytest.mark.usefixtures("seldom")
def test_versions_of_other_checkpoints_are_not_compared_by_their_vectors():
    server = SimulatedServer(candidate=BAD["wrong pooling"], rate=40.0)
    assert server.watched(excused={"vectors": "they point elsewhere"}).run(**HALF_AN_HOUR).verdict == KEPT


@pytest.mark.usefixtures("seldom")
def test_answers_that_take_longer_under_more_load_are_not_held_against_a_version():
    server = SimulatedServer(candidate=BAD["twice as slow"], before=Behaviour(median_s=0.012))
    canary, promote = server.canary, server.promote
    server.canary = lambda version, share, **_: canary(version, 1e-9)

    def promote_into_rush_hour(version):
        server.rate *= 3
        return promote(version)

    server.promote = promote_into_rush_hour
    watched = server.watched()
    assert watched.run(**HALF_AN_HOUR).verdict == KEPT
    (latency,) = (each for each in watched.watch.settled() if each.signal.name == "latency")
    assert latency.why == "more than 1.5 times the requests a second of before"


@pytest.mark.usefixtures("seldom")
@pytest.mark.parametrize("agreed", [True, False])
def test_callers_of_another_hour_are_not_held_against_a_version_that_agreed_with_the_one_before(agreed):
    server = SimulatedServer(candidate=GOOD, rate=40.0)
    canary, promote = server.canary, server.promote
    server.canary = lambda version, share, **_: canary(version, share if agreed else 1e-9)

    def promote_into_another_hour(version):
        server.candidate = Behaviour(labels=(0.3, 0.3, 0.4))
        return promote(version)

    server.promote = promote_into_another_hour
    outcome = server.watched().run(**HALF_AN_HOUR)
    assert outcome.verdict == (KEPT if agreed else ROLLED_BACK)  # what the canary had not seen, nobody can tell apart


def test_the_looks_of_a_long_watch_do_not_pile_up(monkeypatch):
    monkeypatch.setattr(watching, "MOST_MOMENTS", 20)
    watched = SimulatedServer(candidate=GOOD, rate=1.0).watched()
    watched.run(duration_s=600.0, share=0.2)
    moments = [each.at_s for each in watched.watch.moments]
    assert len(moments) <= 20
    assert moments == sorted(moments)
    assert moments[-1] == pytest.approx(600)
