"""How long a text would wait for its first token."""

import numpy as np
import pytest

from encserve_server.steps.generate.choice import Choice
from encserve_server.steps.generate.pace import Pace
from encserve_server.steps.generate.round import Round
from encserve_server.steps.generate.text import GeneratedText


def text(*, made=0, most=50, least=0, source=4):
    return GeneratedText(
        source=np.zeros(source, np.int64),
        choice=Choice(ends=(0,), min_new_tokens=least),
        max_new_tokens=most,
        pieces=None,
        tell=None,
        lane="interactive",
        tokens=[1] * made,
    )


@pytest.fixture
def pace():
    """One whose rounds take a second."""
    made = Pace()
    made.round_took(1.0, Round())
    return made


def wait_s(pace, active, before, *, rows=1_000_000, prefill_tokens=8):
    return pace.wait_s(active, before, rows=rows, prefill_tokens=prefill_tokens)


def test_rounds_take_what_they_lately_took(pace):
    pace.round_took(2.0, Round())
    assert pace.round_s == pytest.approx(1.2)
    pace.was_idle()
    pace.round_took(3.0, Round())
    assert pace.round_s == 3.0


def test_texts_get_such_a_part_of_their_length_as_others_did(pace):
    assert pace.tokens_left(text(least=30)) == 30
    assert pace.tokens_left(text()) == 1  # nothing is known, and so no more is said than is sure
    for _ in range(3):
        pace.has_ended(text(made=10, most=40))
    assert [pace.tokens_left(text(most=40, made=made)) for made in (0, 4, 30)] == [10, 6, 1]
    assert pace.tokens_left(text(most=400)) == 1 + round(399 * 9 / 39)
    assert pace.tokens_left(text(most=40, least=20)) == 20 + round(20 * 9 / 39)


def test_where_there_is_room_the_first_token_comes_with_the_next_round(pace):
    assert wait_s(pace, [text(least=40)] * 3, []) == 1.0
    assert wait_s(pace, [text(least=40)] * 3, [text()] * 9) == 1 + 9 * 4 // 8  # since those before are encoded first


def test_each_begins_where_another_ends(pace):
    active = [text(least=10), text(least=4)]
    assert wait_s(pace, active, [], rows=2) == 4 + 1
    assert wait_s(pace, active, [text(least=5)], rows=2) == 9 + 1
    assert wait_s(pace, active, [text(least=5), text(least=20)], rows=2) == 10 + 1
    assert wait_s(pace, active, [text(least=5)], rows=3) == 4 + 1


def test_short_texts_push_out_less_of_what_was_learnt(pace):
    for _ in range(20):
        pace.has_ended(text(made=10, most=100))
    for _ in range(200):
        pace.has_ended(text(made=2, most=2))
    assert pace.tokens_left(text(most=100)) < 40


def test_tokens_a_second_are_those_of_full_rounds(pace):
    assert pace.tokens_per_second == 0  # as long as everybody had room, nobody knows what the engine can do
    for _ in range(100):
        pace.round_took(2.0, Round(tokens=40, is_full=True))
    pace.was_idle()
    pace.round_took(1.0, Round(tokens=1))
    assert pace.tokens_per_second == pytest.approx(20)
    for _ in range(100):
        pace.round_took(1.0, Round(tokens=40, is_full=True))
    assert pace.tokens_per_second == pytest.approx(40, rel=0.02)


def test_the_work_of_texts_that_wait_is_what_they_will_probably_get(pace):
    pace.has_ended(text(made=10, most=40))
    pace.round_took(0.5, Round(tokens=10, is_full=True))
    work = pace.work([text(most=40), text(most=40, least=20)])
    assert (work.tokens, work.rate) == (10 + 25, 20)
    assert pace.work([]).tokens == 0
