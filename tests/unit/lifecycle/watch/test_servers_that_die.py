"""Promotions with a watch whose server dies, is gone, or comes back: which version answers then."""

import pytest

from encserve import Overloaded, Unavailable
from encserve_server.administration.watched_promotion import GRACE_S, LEFT, ROLLED_BACK, UNSEEN
from encserve_server.errors import PromotionFailed

from .simulated import GOOD, SimulatedServer, blind_from, dying, gone_from


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


def test_a_server_that_is_gone_in_the_promotion_has_no_canary_at_its_next_start():
    server = SimulatedServer(candidate=GOOD)

    def dies(version):
        server.gone = True
        raise Unavailable("nobody answers")

    server.promote, server.end_canary = dies, lambda: pytest.fail("nobody would answer")
    with pytest.raises(Unavailable):
        server.watched().run(duration_s=60.0, share=0.2)
    assert (server.done[-1], server.stated()) == ("end canary, stopped", (1, None))
