"""Whole promotions with a watch, of versions that are bad in one way, or good, on a simulated server."""

import math

import pytest

from encserve_lifecycle.watch import watch as watching
from encserve_lifecycle.watch.judgement import State
from encserve_lifecycle.watch.page import watch_page
from encserve_lifecycle.watch.signals import ALPHA, PHASES, SIGNALS
from encserve_server.administration.watched_promotion import KEPT, LEFT, LOOK_S, ROLLED_BACK, UNKNOWN, UNSEEN
from encserve_server.errors import PromotionFailed

from .simulated import BAD, GOOD, Behaviour, SimulatedServer
from .theory import needed_to_see

HALF_AN_HOUR = {"duration_s": 1_800.0, "share": 0.2}


def test_of_good_versions_no_more_are_rolled_back_than_is_stated(monkeypatch):
    """200 of them, with twenty looks each; what more looks do, `test_evidence` asks."""
    monkeypatch.setattr("encserve_server.administration.watched_promotion.LOOK_S", 30.0)
    verdicts = []
    for seed in range(200):
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
    server.canary = lambda version, share: canary(version, 1e-9)
    outcome = server.watched().run(**HALF_AN_HOUR)
    assert outcome.verdict == ROLLED_BACK
    assert [each for each in server.done if each in ("canary", "end canary", "promote", "rollback")] == [
        "canary",
        "promote",
        "rollback",
    ]
    assert "texts with NaN or infinity are " in outcome.because


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


def test_versions_of_other_checkpoints_are_not_compared_by_their_vectors():
    server = SimulatedServer(candidate=BAD["wrong pooling"], rate=40.0)
    assert server.watched(excused={"vectors": "they point elsewhere"}).run(**HALF_AN_HOUR).verdict == KEPT


def test_answers_that_take_longer_under_more_load_are_not_held_against_a_version():
    server = SimulatedServer(candidate=BAD["twice as slow"], before=Behaviour(median_s=0.012))
    canary, promote = server.canary, server.promote
    server.canary = lambda version, share: canary(version, 1e-9)

    def promote_into_rush_hour(version):
        server.rate *= 3
        return promote(version)

    server.promote = promote_into_rush_hour
    watched = server.watched()
    assert watched.run(**HALF_AN_HOUR).verdict == KEPT
    (latency,) = (each for each in watched.watch.settled() if each.signal.name == "latency")
    assert latency.why == "more than 1.5 times the requests a second of before"


@pytest.mark.parametrize("agreed", [True, False])
def test_callers_of_another_hour_are_not_held_against_a_version_that_agreed_with_the_one_before(agreed):
    server = SimulatedServer(candidate=GOOD, rate=40.0)
    canary, promote = server.canary, server.promote
    server.canary = lambda version, share: canary(version, share if agreed else 1e-9)

    def promote_into_another_hour(version):
        server.candidate = Behaviour(labels=(0.3, 0.3, 0.4))
        return promote(version)

    server.promote = promote_into_another_hour
    outcome = server.watched().run(**HALF_AN_HOUR)
    assert outcome.verdict == (KEPT if agreed else ROLLED_BACK)  # what the canary had not seen, nobody can tell apart


@pytest.mark.parametrize("at", ["canary", "promote"])
def test_what_others_make_active_meanwhile_stays(at):
    server = SimulatedServer(candidate=GOOD)
    step = getattr(server, at)

    def then_others_act(*given):
        done = step(*given)
        server.stated = lambda: (3, None)
        return done

    setattr(server, at, then_others_act)
    outcome = server.watched().run(**HALF_AN_HOUR)
    assert outcome.verdict == LEFT
    assert "somebody else made version 3 of m the active one, and none the candidate" in outcome.because
    assert not {"end canary", "rollback"} & set(server.done)


def test_a_candidate_that_nobody_watches_any_more_is_ended():
    server = SimulatedServer(candidate=GOOD)

    def interrupted(seconds):
        raise KeyboardInterrupt

    server.sleep = interrupted
    with pytest.raises(KeyboardInterrupt):
        server.watched().run(**HALF_AN_HOUR)
    assert server.done == ["canary", "end canary"]


def test_metrics_that_are_away_for_a_while_are_asked_again():
    server = SimulatedServer(candidate=BAD["NaN on one text in fifty"])
    sleep = server.sleep

    def away_for_a_minute(seconds):
        sleep(seconds)
        server.blind = 30 < server.now_s < 90

    server.sleep = away_for_a_minute
    assert server.watched().run(**HALF_AN_HOUR).verdict == ROLLED_BACK


def refuses():
    raise PromotionFailed("the server does not answer")


def test_a_rollback_that_fails_says_what_was_found():
    server = SimulatedServer(candidate=BAD["NaN on one text in fifty"])
    server.end_canary = refuses
    with pytest.raises(PromotionFailed, match=r"version 2 is worse \(texts with NaN .*\): the server does not answer"):
        server.watched().run(**HALF_AN_HOUR)


def test_a_rollback_that_an_export_is_in_the_way_of_is_tried_again():
    server = SimulatedServer(candidate=BAD["NaN on one text in fifty"])
    end_canary, tries = server.end_canary, []

    def busy():
        tries.append(server.now_s)
        if len(tries) < 4:
            raise PromotionFailed("another export is running")
        end_canary()

    server.end_canary = busy
    assert server.watched().run(**HALF_AN_HOUR).verdict == ROLLED_BACK
    assert server.done.count("it is tried again: another export is running") == 3
    assert server.stated() == (1, None)


def test_a_rollback_of_which_it_is_not_known_whether_it_happened_is_not_done_twice():
    """The version before that one is the bad one."""
    server = SimulatedServer(candidate=BAD["NaN on one text in fifty"])
    canary, rollback = server.canary, server.rollback
    server.canary = lambda version, share: canary(version, 1e-9)

    def loses_the_answer(*, of=None):
        rollback(of=of)
        raise PromotionFailed("whether the server serves it is not known")

    server.rollback = loses_the_answer
    with pytest.raises(PromotionFailed, match=r"version 2 is worse .* is not known"):
        server.watched().run(**HALF_AN_HOUR)
    assert server.done.count("rollback") == 1


@pytest.mark.parametrize("lost", [PromotionFailed("version 2 does not answer"), KeyboardInterrupt("Ctrl-C")])
def test_a_promotion_that_fails_ends_the_canary(lost):
    server = SimulatedServer(candidate=GOOD)

    def fails(version):
        raise lost

    server.promote = fails
    with pytest.raises(type(lost), match=str(lost)):
        server.watched().run(duration_s=60.0, share=0.2)
    assert server.stated() == (1, None)


def test_a_canary_that_cannot_be_ended_is_named():
    server = SimulatedServer(candidate=GOOD)

    def fails(version):
        raise PromotionFailed("version 2 does not answer")

    server.promote, server.end_canary = fails, refuses
    with pytest.raises(
        PromotionFailed, match=r"encserve canary m --end.*: the server does not answer \(after: version 2"
    ):
        server.watched().run(duration_s=60.0, share=0.2)


def test_a_promotion_that_fails_leaves_the_candidate_of_others():
    server = SimulatedServer(candidate=GOOD)

    def fails(version):
        server.stated = lambda: (1, 3)
        raise PromotionFailed("version 2 does not answer")

    server.promote = fails
    with pytest.raises(PromotionFailed):
        server.watched().run(duration_s=60.0, share=0.2)
    assert "end canary" not in server.done


def test_what_the_last_look_suspects_is_looked_at_again():
    """A watch may end between the two looks that a rollback takes."""
    full = SimulatedServer(candidate=BAD["NaN on one text in fifty"])
    full.watched().run(**HALF_AN_HOUR)
    server = SimulatedServer(candidate=BAD["NaN on one text in fifty"])
    watched = server.watched()
    outcome = watched.run(duration_s=6 * (full.now_s - LOOK_S), share=0.2)
    assert "promote" not in server.done
    assert (outcome.verdict, server.stated()) == (ROLLED_BACK, (1, None))


def blind_from(server, step):
    """Let nothing be read any more once a step was done."""
    does = getattr(server, step)

    def then_blind(*given):
        done = does(*given)
        server.blind = True
        return done

    setattr(server, step, then_blind)


def test_a_version_that_nothing_was_seen_of_is_not_said_to_be_no_worse():
    server = SimulatedServer(candidate=GOOD, rate=200.0)
    blind_from(server, "promote")
    watched = server.watched()
    outcome = watched.run(duration_s=1_200.0, share=0.5)
    assert outcome.verdict == UNSEEN
    assert "could not be read" in outcome.because
    assert "and then answered all callers, which nothing was seen of" in watch_page(watched.watch, outcome)


def test_a_canary_that_nothing_was_seen_of_is_not_promoted():
    server = SimulatedServer(candidate=GOOD)
    blind_from(server, "canary")
    with pytest.raises(PromotionFailed, match="metrics cannot be read any more, so version 2 is not promoted"):
        server.watched().run(duration_s=60.0, share=0.2)
    assert server.stated() == (1, None)


def test_a_repository_that_cannot_be_read_for_a_while_is_read_again():
    server = SimulatedServer(candidate=BAD["NaN on one text in fifty"])
    stated = server.stated

    def away_for_a_minute():
        if 10 < server.now_s < 70:
            raise OSError("stale file handle")
        return stated()

    server.stated = away_for_a_minute
    assert server.watched().run(**HALF_AN_HOUR).verdict == ROLLED_BACK


def test_the_looks_of_a_long_watch_do_not_pile_up(monkeypatch):
    monkeypatch.setattr(watching, "MOST_MOMENTS", 20)
    watched = SimulatedServer(candidate=GOOD, rate=1.0).watched()
    watched.run(duration_s=600.0, share=0.2)
    moments = [each.at_s for each in watched.watch.moments]
    assert len(moments) <= 20
    assert moments == sorted(moments)
    assert moments[-1] == pytest.approx(600)
