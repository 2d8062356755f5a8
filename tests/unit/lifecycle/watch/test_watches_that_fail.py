"""Promotions with a watch in which a step fails, nothing can be read, or somebody else acts: what is left of them."""

import math
from dataclasses import replace

import pytest

from encserve import Overloaded, Unavailable
from encserve_lifecycle.watch.page import watch_page
from encserve_server.administration.watched_promotion import GRACE_S, LEFT, LOOK_S, ROLLED_BACK, UNSEEN
from encserve_server.errors import PromotionFailed

from .simulated import BAD, GOOD, SimulatedServer, dying

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


def after_two_deaths(refusals):
    """A server that died twice after a promotion, and does not answer the first `refusals`; how its watch ends."""
    server = dying(SimulatedServer(candidate=GOOD), at=(30.0, 60.0), away_s=4.0)
    rollback, refusals = server.rollback, list(refusals)

    def roll_back(*, of=None):
        if refusals:
            raise refusals.pop(0)
        return rollback(of=of)

    server.rollback = roll_back
    return server, server.watched()


def test_a_server_that_died_is_waited_for():
    server, watched = after_two_deaths([Unavailable("nobody answers")] * 3)
    outcome = watched.run(duration_s=120.0, share=0.2)
    assert (outcome.verdict, server.stated()) == (ROLLED_BACK, (1, None))
    assert "it died twice" in outcome.because
    assert server.done.count("it is tried again: nobody answers") == 3


def test_where_no_server_is_left_its_next_start_serves_the_version_before():
    server, watched = after_two_deaths([Unavailable("nobody answers")] * 1_000)
    server.gone = True
    outcome = watched.run(duration_s=120.0, share=0.2)
    assert (outcome.verdict, outcome.took_s, server.stated()) == (ROLLED_BACK, None, (1, None))
    assert outcome.because.endswith("; no server answers, and its next start serves version 1")
    assert "version 1 answers everybody again" not in " ".join(server.done)


def gone_from(server, at_s, until_s=math.inf):
    """The server ends at some seconds, and is started again by others at some."""
    sleep = server.sleep

    def sleeping(seconds):
        sleep(seconds)
        server.blind = server.gone = at_s < server.now_s < until_s

    server.sleep = sleeping
    return server


@pytest.mark.parametrize(
    ("at_s", "stopped"), [(10, "end canary, stopped"), (100, "rollback, stopped"), (599, "rollback, stopped")]
)
def test_a_version_whose_server_is_gone_is_taken_back_for_the_next_start(at_s, stopped):
    server = gone_from(SimulatedServer(candidate=GOOD), at_s)
    server.rollback = server.end_canary = lambda **given: pytest.fail("nobody would answer")
    outcome = server.watched().run(duration_s=600.0, share=0.2)
    assert (outcome.verdict, server.stated()) == (ROLLED_BACK, (1, None))
    assert server.done[-1] == stopped
    assert outcome.because == (
        "it is gone since version 2 answers callers, and nobody started it again for 60 s; "
        "no server answers, and its next start serves version 1"
    )
    assert server.now_s < at_s + GRACE_S + 10


def test_a_server_that_comes_back_within_a_minute_is_watched_on():
    server = gone_from(SimulatedServer(candidate=GOOD, rate=200.0), 150, until_s=200)
    assert server.watched().run(duration_s=600.0, share=0.5).verdict not in (ROLLED_BACK, UNSEEN)
    assert server.stated() == (2, None)


def test_a_server_that_is_seen_at_one_look_is_not_gone():
    server = gone_from(SimulatedServer(candidate=GOOD), 150)
    server.is_gone = lambda: server.gone and not 200 < server.now_s < 204
    outcome = server.watched().run(duration_s=600.0, share=0.2)
    assert outcome.verdict == ROLLED_BACK
    assert 204 + GRACE_S < server.now_s < 204 + GRACE_S + 10


def test_a_server_that_takes_long_to_be_found_gone_is_looked_for_again():
    """As where a network swallows what is sent."""
    server, looks = gone_from(SimulatedServer(candidate=GOOD), 150), []

    def swallowed():
        looks.append(server.now_s)
        server.now_s += GRACE_S + 1
        return len(looks) == 1

    server.is_gone = swallowed
    assert server.watched().run(duration_s=600.0, share=0.2).verdict == UNSEEN
    assert len(looks) > 1


def test_of_a_server_that_holds_no_repository_nobody_knows_whether_it_is_gone():
    server = gone_from(SimulatedServer(candidate=GOOD, held=False), 150)
    assert server.watched().run(duration_s=600.0, share=0.2).verdict == UNSEEN
    assert server.stated() == (2, None)


def test_what_others_make_active_while_the_server_is_gone_stays():
    server = gone_from(SimulatedServer(candidate=GOOD), 150)

    def takes_a_minute():
        if any("is worse" in line for line in server.done):
            server.stated = lambda: (1, None)
        return server.gone

    server.is_gone = takes_a_minute
    assert server.watched().run(duration_s=600.0, share=0.2).verdict == LEFT
    assert "rollback, stopped" not in server.done


def test_a_next_start_that_an_export_is_in_the_way_of_is_tried_again():
    server = gone_from(SimulatedServer(candidate=GOOD), 150)
    stopped, busy = server.rollback_stopped, [PromotionFailed("another export is running")] * 3

    def tried(*, of=None):
        if busy:
            raise busy.pop()
        return stopped(of=of)

    server.rollback_stopped = tried
    assert server.watched().run(duration_s=600.0, share=0.2).verdict == ROLLED_BACK
    assert server.done.count("it is tried again: another export is running") == 3
    assert server.stated() == (1, None)


def test_the_version_that_the_next_start_serves_is_the_one_that_was_gone_back_to():
    server = gone_from(SimulatedServer(candidate=GOOD), 150)
    server.rollback_stopped = lambda *, of: 7
    outcome = server.watched().run(duration_s=600.0, share=0.2)
    assert outcome.because.endswith("; no server answers, and its next start serves version 7")


def test_a_server_that_comes_back_while_it_is_gone_back_is_told_to():
    server = SimulatedServer(candidate=GOOD)
    blind_from(server, "promote")
    server.is_gone = lambda: not any("is worse" in line for line in server.done)
    outcome = server.watched().run(duration_s=600.0, share=0.2)
    assert (outcome.verdict, server.stated()) == (ROLLED_BACK, (1, None))
    assert "rollback" in server.done
    assert "rollback, stopped" not in server.done


def test_a_server_that_is_there_and_busy_is_not_taken_for_one_that_is_gone():
    server, watched = after_two_deaths([Overloaded("busy")] * 1_000)
    with pytest.raises(PromotionFailed, match=r"version 2 is worse \(it died twice .*\): busy"):
        watched.run(duration_s=120.0, share=0.2)
    assert "rollback, stopped" not in server.done


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


def test_a_server_that_is_gone_in_the_promotion_has_no_canary_at_its_next_start():
    server = SimulatedServer(candidate=GOOD)

    def dies(version):
        server.gone = True
        raise Unavailable("nobody answers")

    server.promote, server.end_canary = dies, refuses
    with pytest.raises(Unavailable):
        server.watched().run(duration_s=60.0, share=0.2)
    assert (server.done[-1], server.stated()) == ("end canary, stopped", (1, None))


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

    def then_blind(*given, **how):
        done = does(*given, **how)
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
