"""How fast the answers come: told neither too low by a slow beginning, nor by answers that come many at a time."""

import pytest

from encserve._conversation.pace import Pace

PLACES = 4


def test_before_any_answer_nothing_is_refused():
    assert Pace(PLACES, now_s=0.0).seconds_for(1e9) == 0.0


def test_steady_answers():
    pace = Pace(PLACES, now_s=0.0)
    for second in range(1, 101):
        pace.answered(10.0, float(second))
    pace.look(40.0)
    assert pace.seconds_for(60.0) == pytest.approx(10.0, rel=0.01)


def test_few_answers_are_enough():
    pace = Pace(PLACES, now_s=0.0)
    for second in (10.0, 20.0):
        pace.answered(10.0, second)
    pace.look(40.0)
    assert pace.seconds_for(60.0) == 100.0


@pytest.mark.parametrize("answers", range(4, 30))
def test_answers_that_come_many_at_a_time(answers):
    """A second for four of them, whichever of the four the pace is looked at."""
    pace = Pace(PLACES, now_s=0.0)
    for number in range(answers):
        pace.answered(1.0, 1.0 + number // PLACES)
    pace.look(PLACES)
    assert pace.seconds_for(400.0) <= 101.0


def test_a_slow_beginning_is_forgotten_with_the_next_round():
    pace = Pace(PLACES, now_s=0.0)
    for number in range(8):
        pace.answered(1.0, 1000.0 + number)
    pace.look(0.0)
    assert pace.seconds_for(100.0) == pytest.approx(100.0)


def test_a_slow_moment_is_outweighed_by_all_before():
    pace = Pace(PLACES, now_s=0.0)
    for number in range(1, 101):
        pace.answered(1.0, float(number))
    for number in range(4):
        pace.answered(1.0, 100.0 + 10 * number)
    pace.look(0.0)
    assert pace.seconds_for(100.0) == pytest.approx(100.0, rel=0.3)


def test_a_server_that_became_slow_is_believed_in_time():
    """What a client remembers is bounded: it does not wait for what was hours ago."""
    pace = Pace(PLACES, now_s=0.0)
    for number in range(10_000):
        pace.answered(1.0, number / 100)
    for number in range(1_000):
        pace.answered(1.0, 100.0 + number)
    pace.look(0.0)
    assert pace.seconds_for(100.0) == pytest.approx(100.0, rel=0.01)
