"""At a server that has time for all who come nobody is refused, and none ends before it is whole. In virtual time."""

from functools import partial

import pytest
from crowd import ROUND_S, TimedNetwork


def assert_all_whole(crowd, came):
    assert not crowd.refused
    assert (crowd.came, crowd.whole) == (came, came)


def exactly(length, **about):
    return {"length": length, "least": length, "most": length, **about}


def test_a_question_of_health_ends_no_text_early(crowd):
    """Which by the rounds of a while ago could not be whole, and is."""
    crowd = crowd()
    TimedNetwork.stalls.extend([0.1] * 20)
    crowd.ask(crowd.text(**exactly(90, timeout_s=4.6)))
    for number in range(8):
        crowd.at(0.25 * (number + 1), lambda: crowd.ask(crowd.text(1, most=1, first=True)))
    crowd.run()
    assert_all_whole(crowd, 9)


@pytest.mark.parametrize(("refused_s", "ended_s"), [(0.7, 0.72), (0.1, 1.0)])
def test_who_is_refused_wants_the_place_of_a_text_that_is_lost_by_then(crowd, refused_s, ended_s):
    crowd, ended = crowd(max_rows=1), []
    crowd.ask(crowd.text(**exactly(90, timeout_s=1.0, over=lambda: ended.append(crowd.clock.now_s))))
    crowd.at(refused_s, lambda: crowd.ask(crowd.text(**exactly(90, timeout_s=0.3))))
    crowd.run()
    assert len(crowd.refused) == 1
    assert ended == [pytest.approx(ended_s, abs=0.03)]


def test_one_text_in_haste_that_soon_ends_refuses_no_hundred_others(crowd):
    crowd = crowd()
    crowd.closed_set(64)
    crowd.ask(crowd.text(**exactly(14, timeout_s=0.3)))
    for number in range(100):
        crowd.at(0.2 + 0.0001 * number, lambda: crowd.ask(crowd.text(**exactly(20, timeout_s=8.0))))
    crowd.run()
    assert not crowd.refused
    assert crowd.whole >= 100


def test_what_a_request_of_many_long_texts_takes_to_encode_is_counted_once(crowd):
    """Its 64 texts take 3.8 s to encode, and 7 s until they are whole; the others wait for them, and have no room."""
    crowd = crowd()
    TimedNetwork.token_s = 0.00012
    for _ in range(3):
        crowd.ask(crowd.text(30, source=500, timeout_s=60))
    crowd.ask(crowd.text(**exactly(60, timeout_s=60)))
    many = partial(exactly, 30, source=500)
    crowd.at(0.8, lambda: crowd.ask(*[crowd.text(**many(timeout_s=13.0)) for _ in range(64)]))
    crowd.at(1.0, lambda: crowd.ask(*[crowd.text(**many(timeout_s=18.0)) for _ in range(8)]))
    crowd.run()
    assert_all_whole(crowd, 76)


def test_short_calls_of_the_encoder_refuse_no_long_ones(crowd):
    """At an engine that is never quite idle, and then at an idle one."""
    crowd = crowd()
    TimedNetwork.call_s = 0.02
    for number in range(40):
        crowd.at(0.1 * number, lambda: crowd.ask(crowd.text(1, source=2, most=1, first=True)))
    for seconds in (2.05, 5.0):
        long = partial(crowd.text, **exactly(10, source=250, timeout_s=9.0))
        crowd.at(seconds, lambda long=long: crowd.ask(*[long() for _ in range(12)]))
    crowd.clock.due = type(crowd.clock.due)(sorted(crowd.clock.due, key=lambda each: each[0]))
    crowd.run()
    assert_all_whole(crowd, 64)


def test_texts_that_were_cut_refuse_none_that_may_be_longer(crowd):
    crowd = crowd()
    for number in range(20):
        crowd.at(0.05 * number, lambda: crowd.ask(crowd.text(90, most=8)))
    crowd.at(1.0, lambda: crowd.ask(crowd.text(40, most=20, timeout_s=60)))
    crowd.at(1.1, lambda: crowd.ask(crowd.text(40, most=400, timeout_s=5.0)))
    crowd.run()
    assert_all_whole(crowd, 22)


def test_who_waits_goes_on_waiting_while_it_may_be_whole(crowd):
    """Although texts as long as others, in rounds of now, would not be."""
    crowd = crowd(max_rows=60)
    for _ in range(60):
        crowd.ask(crowd.text(60, most=90, timeout_s=60))
    crowd.run()
    crowd.came = crowd.whole = 0
    for _ in range(60):
        crowd.ask(crowd.text(50, timeout_s=60))
    crowd.ask(crowd.text(8, timeout_s=6.0))
    crowd.run()
    assert_all_whole(crowd, 61)


def test_bulk_in_haste_holds_off_nobody_who_is_interactive(crowd):
    crowd = crowd()
    bulk = exactly(60, timeout_s=60 * (ROUND_S + 0.0009) * 1.4, lane="bulk")
    crowd.ask(crowd.text(**bulk))
    asked = []
    for number in range(20):
        crowd.at(0.3 + 0.001 * number, lambda: asked.extend(crowd.ask(crowd.text(**exactly(6, timeout_s=0.8)))))
    crowd.run()
    assert [text.finish for text in asked] == ["length"] * 20


def test_one_round_that_stood_still_ends_nothing(crowd):
    crowd = crowd(max_rows=1)
    TimedNetwork.stalls.append(1.0)
    crowd.ask(crowd.text(**exactly(90, timeout_s=30.0)))
    crowd.at(0.5, lambda: crowd.ask(crowd.text(**exactly(90, timeout_s=30.0))))
    crowd.run()
    assert_all_whole(crowd, 2)


def test_a_text_in_haste_says_nothing_of_what_the_engine_can_make(crowd):
    crowd = crowd()
    _, tokens_per_s = crowd.closed_set(64)
    known = crowd.engine._pace.tokens_per_second
    assert known > 0.9 * tokens_per_s
    crowd.ask(crowd.text(**exactly(90, timeout_s=90 * (ROUND_S + 0.0009) * 1.15)))
    told = []
    crowd.engine._count = lambda done: told.append(crowd.engine._pace.tokens_per_second)
    for number in range(20):
        crowd.at(0.1 + 0.001 * number, lambda: crowd.ask(crowd.text(**exactly(6, timeout_s=60.0))))
    crowd.run()
    assert min(told) > 0.9 * known
