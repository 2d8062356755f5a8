"""Servers that die under a version that is watched."""

import pytest

from encserve_lifecycle.watch.lives import RESTARTS, Lives
from encserve_server.administration.watched_promotion import DEATHS, DIED, KEPT, ROLLED_BACK, UNKNOWN

from .simulated import GOOD, SimulatedServer, dying

HALF_AN_HOUR = {"duration_s": 1_800.0, "share": 0.2}


def page(restarts=None, **answered):
    series = {("nv_inference_request_success", frozenset({("model", each)})): n for each, n in answered.items()}
    if restarts is not None:
        series[RESTARTS, frozenset({("model", "m_tokenize")})] = float(restarts)
    return series


@pytest.mark.parametrize(
    ("pages", "deaths"),
    [
        ([page(m=100, m_head=100), page(m=120, m_head=120)], 0),
        ([page(m=100, m_head=100), page(m=3, m_head=3)], 1),
        ([page(m=100, m_head=100), page(), page(m=3, m_head=3)], 1),
        ([page(m=100, m_head=100), page(m=3, m_head=3), page(m=9, m_head=9), page(m=1, m_head=1)], 2),
        ([page(m=100, m_head=100), page(m=3, m_head=120)], 0),  # one model was loaded again
        ([page(m=100, m_head=100, m_candidate=7), page(m=120, m_head=120)], 0),
        ([page(), page(m=1)], 0),
        ([page(restarts=4, m=10), page(restarts=4, m=20)], 0),
        ([page(restarts=4, m=10), page(restarts=5, m=20)], 1),  # as much was answered again between two looks
        ([page(restarts=4, m=10), page(restarts=6, m=1)], 1),  # the first try to start it again failed
        ([page(restarts=4, m=9), page(restarts=6, m=1), page(restarts=7, m=2)], 2),
        ([page(m=10), page(restarts=4, m=20)], 0),  # no step had told it at the beginning
        ([page(m=10), page(restarts=4, m=20), page(restarts=5, m=30)], 1),
        ([page(m=100, m_head=100, m_encode=300), page(m=101, m_head=101, m_encode=3)], 0),  # a step of several
        ([page(m=100, m_head=100, m_encode=300), page(m=100, m_head=100, m_encode=3)], 0),
        ([page(m=100, m_head=100, m_candidate=1), page(m=3, m_head=3, m_candidate=1)], 1),  # asked at each start
        ([page(restarts=4, m=10), page(restarts=0, m=1), page(restarts=5, m=5)], 1),  # told a moment later
    ],
)
def test_deaths_are_seen_by_counters_that_begin_anew(pages, deaths):
    first, *others = pages
    lives = Lives(first)
    for each in others:
        lives.take(each)
    assert lives.deaths == deaths


def test_what_began_anew_while_versions_were_loaded_is_no_death():
    lives = Lives(page(m=100, m_head=100))
    lives.pass_over(page(m=2, m_head=2))
    lives.take(page(m=4, m_head=4))
    assert lives.deaths == 0
    lives.take(page(m=1, m_head=1))
    assert lives.deaths == 1


@pytest.mark.parametrize(
    ("at", "ended"),
    [((30.0, 90.0), "end canary"), ((30.0, 700.0), "rollback"), ((700.0, 900.0), "rollback")],
)
def test_a_version_under_which_the_server_dies_again_is_taken_back(at, ended):
    server = dying(SimulatedServer(candidate=GOOD), at=at)
    outcome = server.watched().run(**HALF_AN_HOUR)
    assert outcome.verdict == ROLLED_BACK
    assert "it died twice since version 2 answers callers" in outcome.because
    assert ended in server.done
    assert server.active == 1
    assert DEATHS == 2


def test_a_version_under_which_the_server_died_once_is_not_said_to_be_no_worse():
    server = dying(SimulatedServer(candidate=GOOD), at=(700.0,))
    outcome = server.watched().run(**HALF_AN_HOUR)
    assert outcome.verdict == DIED
    assert "the server began anew: once since the watch began" in server.done
    assert server.active == 2


def test_a_server_that_lives_is_not_said_to_have_died():
    server = SimulatedServer(candidate=GOOD)
    assert server.watched().run(**HALF_AN_HOUR).verdict in (KEPT, UNKNOWN)


@pytest.mark.parametrize(("has", "gets"), [(0.0, 0.2), (0.1, 0.2), (0.5, 0.5)])
def test_who_has_the_version_already_keeps_it(has, gets):
    server = SimulatedServer(candidate=GOOD, share=has)
    shares, sleep = [], server.sleep

    def watched(seconds):
        shares.append(server.share)
        sleep(seconds)

    server.sleep = watched
    server.watched().run(**HALF_AN_HOUR)
    assert {*shares} == {gets, 0.0}  # and then all are answered
