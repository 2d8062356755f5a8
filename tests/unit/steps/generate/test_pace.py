"""How long rounds take, how long texts become, and what follows for those that come and those that are there."""

import time

import numpy as np
import pytest

from encserve_server.steps.generate.choice import Choice
from encserve_server.steps.generate.door import QueueFull, check_time, rounds_before
from encserve_server.steps.generate.pace import Pace
from encserve_server.steps.generate.round import Round
from encserve_server.steps.generate.round_time import RoundTime
from encserve_server.steps.generate.text import GeneratedText


def text(*, made=0, most=50, least=0, source=4, left_s=float("inf"), beams=1, first=False):
    return GeneratedText(
        source=np.zeros(source, np.int64),
        choice=Choice(ends=(0,), min_new_tokens=least, beams=beams),
        max_new_tokens=most,
        pieces=None,
        tell=None,
        lane="interactive",
        first=first,
        tokens=[1] * made,
        deadline_s=time.monotonic() + left_s,
    )


@pytest.fixture
def pace():
    """One whose rounds take a second, of one text."""
    made = Pace()
    made.round_took(1.0, Round())
    return made


@pytest.fixture
def known():
    """One that knows rounds of many sizes: 10 ms, 1 ms more for each text, and 2 ms to encode a token."""
    made = Pace()
    for rows in range(1, 60):
        made.round_took(0.01 + 0.001 * rows + 0.008, Round(hypotheses=rows, source_tokens=4, encoding_s=0.008))
    return made


def rounds(pace, active, before, *, rows=1_000_000, prefill_tokens=8):
    return rounds_before(pace, active, before, rows=rows, prefill_tokens=prefill_tokens)


def test_rounds_take_what_they_lately_took(pace):
    pace.round_took(2.0, Round())
    assert pace.round_s == pytest.approx(1.2)
    pace.was_idle()
    pace.round_took(3.0, Round())
    assert pace.round_s == 3.0


def test_a_round_takes_longer_with_more_in_it(known):
    assert known.seconds_of_round(100) == pytest.approx(0.11, rel=0.02)
    assert known.seconds_of_round(10) == pytest.approx(0.02, rel=0.05)
    assert known.encoding_s(100) == pytest.approx(0.2)


def test_rounds_of_one_size_say_that_larger_ones_take_no_less():
    time_of = RoundTime()
    for _ in range(9):
        time_of.took(0.32, Round(hypotheses=32))
    assert time_of.steps_s(64) == pytest.approx(0.32 + 0.1 * 0.32)
    assert time_of.steps_s(32) == pytest.approx(0.32)


def test_texts_get_such_a_part_of_their_length_as_others_did(pace):
    assert pace.tokens_left(text(least=30)) == 30
    assert pace.tokens_left(text()) == 1  # nothing is known, and so no more is said than is sure
    for _ in range(3):
        pace.has_ended(text(made=10, most=40))
    assert [pace.tokens_left(text(most=40, made=made)) for made in (0, 4, 30)] == [10, 6, 1]
    assert pace.tokens_left(text(most=400)) == 1 + round(399 * 9 / 39)
    assert pace.tokens_left(text(most=40, least=20)) == 20 + round(20 * 9 / 39)
    assert pace.most_left(text(most=40)) == 10  # as all were of one length


def test_nineteen_of_twenty_texts_are_no_longer_than_it_is_said(pace):
    lengths = np.random.default_rng(0).lognormal(np.log(21), 0.6, 2_000).astype(int).clip(1, 99)
    for length in lengths:
        pace.has_ended(text(made=int(length), most=99))
    assert 0.92 < (lengths <= pace.most_left(text(most=99))).mean() < 0.98
    assert pace.most_left(text(most=99, least=99)) == 99


def test_where_there_is_room_the_first_token_comes_with_the_next_round(pace):
    assert rounds(pace, [text(least=40)] * 3, []) == 0
    assert rounds(pace, [text(least=40)] * 3, [text()] * 9) == 9 * 4 // 8  # since those before are encoded first


def test_each_begins_where_another_ends(pace):
    active = [text(least=10), text(least=4)]
    assert rounds(pace, active, [], rows=2) == 4
    assert rounds(pace, active, [text(least=5)], rows=2) == 9
    assert rounds(pace, active, [text(least=5), text(least=20)], rows=2) == 10
    assert rounds(pace, active, [text(least=5)], rows=3) == 4
    assert rounds(pace, active, [], rows=1) == 10  # the first that ends makes no room


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


def test_no_more_texts_are_decoded_together_than_are_whole_in_time(known):
    under_way = [text(least=20, most=20, left_s=2.0) for _ in range(50)]  # 0.1 s a round, of which 0.9 are taken
    assert known.most_rows(under_way) == pytest.approx(80, abs=3)
    assert known.has_time(text(), under_way)
    lost = text(least=20, most=20, left_s=0.2)  # for which nothing can be done
    assert known.most_rows([*under_way, lost]) == pytest.approx(80, abs=3)
    assert known.most_rows([text()]) == float("inf")
    tight = text(least=20, most=20, left_s=1.3)
    assert not known.has_time(text(), [*under_way, tight])
    assert known.has_time(text(), [])


def test_who_would_be_whole_too_late_is_refused_although_there_is_room(known):
    under_way = [text(least=20, most=20, left_s=9.0) for _ in range(50)]

    def check(asked):
        check_time(known, asked, under_way, [], rows=500, prefill_tokens=512)

    check(text(least=20, most=20, left_s=2.0))
    with pytest.raises(QueueFull, match=r"would take about 2\.4 s until it is whole; of the 2 s .* it may take 1\.8 s"):
        check(text(least=40, most=40, left_s=2.0))


def test_texts_that_cannot_be_whole_in_time_are_known(known):
    now_s = time.monotonic()
    assert known.is_too_late(text(least=40, left_s=1.0), now_s, rows=50)
    assert not known.is_too_late(text(least=40, left_s=4.0), now_s, rows=50)
    assert not known.is_too_late(text(least=40, left_s=1.0, first=True), now_s, rows=50)
    assert known.is_lost(text(least=40, left_s=0.5), now_s)
    assert not known.is_lost(text(least=40, left_s=2.0), now_s)
    assert not known.is_lost(text(left_s=0.5), now_s)  # it may end at any time
    assert not known.is_lost(text(least=40, made=39, left_s=0.001), now_s)
