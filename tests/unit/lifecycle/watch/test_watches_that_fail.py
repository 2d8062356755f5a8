"""Promotions with a watch in which a step fails, nothing can be read, or somebody else acts: what is left of them."""

from dataclasses import replace

import pytest

from encserve_lifecycle.watch.page import watch_page
from encserve_server.administration.watched_promotion import LEFT, LOOK_S, ROLLED_BACK, UNSEEN
from encserve_server.errors import PromotionFailed

from .simulated import BAD, GOOD, SimulatedServer, blind_from

HALF_AN_HOUR = {"duration_s": 1_800.0, "share": 0.2}


@pytest.mark.parametrize("at", ["canary", "promote"])
def test_what_others_make_active_meanwhile_stays(at):
    server = SimulatedServer(candidate=GOOD)
    step = getattr(server, at)

    def then_others_act(*given, **how):
        done = step(*given, **how)
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


def test_who_interrupts_a_watch_is_told_what_answers():
    server = SimulatedServer(candidate=GOOD)
    promote = server.promote

    def then_interrupted(version):
        server.sleep = interrupted
        return promote(version)

    def interrupted(seconds):
        raise KeyboardInterrupt

    server.promote = then_interrupted
    watched = server.watched()
    with pytest.raises(KeyboardInterrupt):
        replace(watched, sleep=lambda seconds: server.sleep(seconds)).run(duration_s=60.0, share=0.2)
    assert server.done[-1] == "version 2 goes on answering everybody, and nobody watches it any more"
    assert server.stated() == (2, None)


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
    server.canary = lambda version, share, *, at_least: canary(version, 1e-9)

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
