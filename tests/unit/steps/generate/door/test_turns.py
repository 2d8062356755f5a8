"""Whose turn it is among the texts that wait."""

import numpy as np
import pytest

from encserve_server.steps.generate.door.turns import Turns
from encserve_server.steps.generate.texts.choice import Choice
from encserve_server.steps.generate.texts.text import GeneratedText


def text(lane, tokens=20, *, first=False):
    return GeneratedText(
        source=np.zeros(tokens // 2, np.int64),
        choice=Choice(ends=(0,)),
        max_new_tokens=tokens - tokens // 2,
        pieces=None,
        tell=None,
        lane=lane,
        first=first,
    )


def test_interactive_texts_come_first_and_in_their_order():
    turns = Turns()
    bulk, first, second = text("bulk"), text("interactive"), text("interactive")
    for each in (bulk, first, second):
        turns.put([each])
    assert turns.before("interactive") == [first, second]
    assert turns.before("bulk") == [first, second, bulk]
    assert [turns.take(turns.next()) for _ in range(3)] == [first, second, bulk]
    assert (turns.next(), bool(turns)) == (None, False)


@pytest.mark.parametrize("tokens", [20, 300])
def test_bulk_has_its_share_while_interactive_texts_wait(tokens):
    turns, taken = Turns(), {"interactive": 0, "bulk": 0}
    for _ in range(2_000):
        while len(turns.of("interactive")) < 3:
            turns.put([text("interactive")])
        while len(turns.of("bulk")) < 3:
            turns.put([text("bulk", tokens)])
        each = turns.take(turns.next())
        taken[each.lane] += len(each.source) + each.max_new_tokens
    assert taken["bulk"] / sum(taken.values()) == pytest.approx(0.1, rel=0.05)


def test_bulk_comes_even_where_each_interactive_text_is_the_last_of_its_lane():
    turns = Turns()
    turns.put([text("bulk")])
    lanes = []
    for _ in range(20):
        turns.put([text("interactive")])
        lanes.append(turns.take(turns.next()).lane)
    assert lanes.index("bulk") == 9


def test_what_was_owed_to_texts_that_are_gone_is_owed_to_no_other():
    turns = Turns()
    gone = text("bulk", 400)
    turns.put([gone])
    for _ in range(100):
        turns.put([text("interactive")])
        turns.take(turns.next())
    assert turns.drop(lambda each: each is gone) == [gone]
    turns.put([text("interactive"), text("interactive")])
    turns.take(turns.next())
    turns.put([text("bulk")])
    assert turns.take(turns.next()).lane == "interactive"


@pytest.mark.parametrize("lane", ["interactive", "bulk"])
def test_a_question_of_health_comes_before_all(lane):
    turns, health = Turns(), text(lane, first=True)
    for other in ("interactive", "bulk"):
        turns.put([text(other)])
    turns._passed = 10_000
    turns.put([health])
    assert turns.take(turns.next()) is health


@pytest.mark.parametrize(("fits", "rounds"), [(True, 0), (False, 9 * 200)])
def test_bulk_that_finds_no_room_lets_interactive_texts_go_on_but_not_for_ever(fits, rounds):
    turns, long, lanes = Turns(), text("bulk", 400), []
    turns.put([long, text("bulk")])
    while "bulk" not in lanes:
        turns.put([text("interactive")])
        turns.begin_round()
        lanes.append(turns.take(turns.next(lambda each: fits or each is not long)).lane)
    assert lanes.index("bulk") == 9 * 400 // 20 + max(rounds - 1, 0)
    turns.put([text("interactive")])
    assert turns.next().lane == "interactive"  # nothing more is owed to bulk


def test_the_rounds_that_a_text_waited_for_room_are_no_other_texts():
    turns, gone = Turns(), text("bulk", 400)
    turns.put([gone, text("bulk", 400)])
    turns.put([text("interactive")])
    turns._passed = 10_000
    for _ in range(9 * 200):
        turns.begin_round()
    assert turns.next(lambda each: False) is gone
    turns.drop(lambda each: each is gone)
    assert turns.next(lambda each: False).lane == "interactive"
