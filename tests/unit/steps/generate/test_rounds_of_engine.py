"""Texts join and leave between the rounds of an engine."""

import threading

import pytest
from counting_engine import BYTES_PER_TOKEN, VOCABULARY, Asked, networks, threading_gate

from encserve_server.steps.generate.decoder.cache import BLOCK, Cache


def test_texts_join_and_leave_between_steps(make):
    engine, first, second = make(), Asked(3), Asked(9, 9, 9, 5)
    engine.put([first.text])
    engine.put([second.text])
    threading_gate.set()
    assert first.ended() == ([2, 1, 0], "eos")
    assert second.ended() == ([4, 3, 2, 1, 0], "eos")
    third = Asked(2)
    engine.put([third.text])
    assert third.ended() == ([1, 0], "eos")
    (network,) = networks
    assert max(map(len, network.steps)) == 2


def test_a_text_ends_by_its_length(make):
    engine, asked = make(), Asked(30, most=4)
    engine.put([asked.text])
    threading_gate.set()
    assert asked.ended() == ([29, 28, 27, 26], "length")


def test_so_many_tokens_are_encoded_between_two_steps(make):
    engine = make(prefill_tokens=3)
    first = Asked(40)
    engine.put([first.text])
    others = [Asked(1, 1, 20) for _ in range(3)]
    engine.put([other.text for other in others])
    threading_gate.set()
    for asked in (first, *others):
        asked.ended()
    (network,) = networks
    assert [sum(map(len, texts)) for texts in network.encoded] == [1, 3, 3, 3]


def test_interactive_texts_come_before_bulk(make):
    engine = make(prefill_tokens=1)
    running, bulk, interactive = Asked(5), Asked(4, lane="bulk"), Asked(3)
    engine.put([running.text])
    engine.put([bulk.text])
    engine.put([interactive.text])
    threading_gate.set()
    for asked in (running, bulk, interactive):
        asked.ended()
    (network,) = networks
    assert network.encoded in ([[[5]], [[3]], [[4]]], [[[3]], [[5]], [[4]]])


def test_only_so_many_texts_fit_at_a_time(make):
    engine = make(cache_bytes=2 * (BLOCK + BLOCK) * BYTES_PER_TOKEN)
    asked = [Asked(10 + number, most=20) for number in range(4)]
    for each in asked:
        engine.put([each.text])
    threading_gate.set()
    assert [each.ended()[1] for each in asked] == ["eos"] * 4
    (network,) = networks
    assert max(map(len, network.steps)) == 2


def test_only_so_many_hypotheses_get_logits_at_a_time(make):
    engine = make(cache_bytes=1 << 20, logits_bytes=2 * VOCABULARY * 4)
    asked = [Asked(10 + number) for number in range(4)]
    for each in asked:
        engine.put([each.text])
    threading_gate.set()
    assert [each.ended()[1] for each in asked] == ["eos"] * 4
    (network,) = networks
    assert max(map(len, network.steps)) == 2
    assert not engine._room.beside([Asked(3).text]).fits(Asked(3, beams=2).text)
    assert engine._room.beside([]).fits(Asked(3, beams=3).text)  # which waits until it is alone


def test_interactive_texts_go_on_while_a_long_text_of_bulk_finds_no_room(make):
    engine = make(cache_bytes=4 * (BLOCK + BLOCK) * BYTES_PER_TOKEN)
    running, bulk, interactive = Asked(9, most=20), Asked(4, most=7 * BLOCK, lane="bulk"), Asked(3, most=20)
    engine.put([running.text])
    assert networks[0].stepping.wait(30)
    engine._waiting._passed = 10_000
    engine.put([bulk.text])
    engine.put([interactive.text])
    threading_gate.set()
    assert [asked.ended()[1] for asked in (running, bulk, interactive)] == ["eos"] * 3
    assert networks[0].encoded == [[[9]], [[3]], [[4]]]


def test_questions_of_health_teach_nothing_of_how_long_texts_become(make):
    engine, asked = make(), Asked(3, most=50)
    threading_gate.set()
    engine.put([asked.text])
    asked.ended()
    for _ in range(50):
        health = Asked(9, most=1)
        engine.put([health.text])
        health.ended()
    engine.close()
    asked.text.tokens.clear()
    assert engine._pace.tokens_left(asked.text) == 3


def test_a_question_of_health_does_not_wait_for_room(make):
    engine = make(cache_bytes=(BLOCK + BLOCK) * BYTES_PER_TOKEN)
    running, health = Asked(30, most=20), Asked(2, most=1, first=True)
    engine.put([running.text])
    assert networks[0].stepping.wait(30)
    engine.put([health.text])
    threading_gate.set()
    assert health.ended() == ([1], "length")
    running.ended()
    assert max(map(len, networks[0].steps)) == 2


def test_what_is_under_way_is_told_by_lane(make):
    done = []
    engine = make(count=done.append)
    two, waits = [Asked(3), Asked(3, lane="bulk")], Asked(5)
    health = Asked(2, first=True)
    engine.put([two[0].text])
    while not engine._active:  # a text that is encoded is not yet among them
        threading.Event().wait(0.001)
    for each in (two[1], waits):
        engine.put([each.text])
    under_way = [(engine.decoded(lane), engine.waiting(lane)) for lane in ("interactive", "bulk")]
    assert under_way == [(1, 1), (0, 1)]
    assert engine.cache_bytes > 0
    engine.put([health.text])
    threading_gate.set()
    for asked in (*two, waits, health):
        asked.ended()
    engine.close()
    assert sorted(lane for each in done for lane, _ in each.first_tokens) == ["bulk", "interactive", "interactive"]
    assert all(seconds > 0 for each in done for _, seconds in each.first_tokens)
    made = sum(len(asked.text.tokens) for asked in (*two, waits))
    assert sum(len(each.gaps_s) for each in done) == made - 3  # and none of a question of health
    assert sum(each.tokens for each in done) == made + len(health.text.tokens)
    assert engine.cache_bytes == 0


def test_what_is_under_way_may_be_asked_while_rows_are_copied(make, monkeypatch):
    remove, answered = Cache.remove, []

    def asked_meanwhile(cache, row):
        asking = threading.Thread(target=engine.waiting, args=("interactive",), daemon=True)
        asking.start()
        asking.join(10)
        answered.append(not asking.is_alive())
        return remove(cache, row)

    monkeypatch.setattr(Cache, "remove", asked_meanwhile)
    engine, asked = make(), Asked(1)
    threading_gate.set()
    engine.put([asked.text])
    asked.ended()
    engine.close()
    assert answered == [True]


def test_what_is_there_is_decoded_before_the_engine_closes(make):
    engine, asked = make(), [Asked(9), Asked(7)]
    engine.put([each.text for each in asked])
    threading_gate.set()
    engine.close()
    assert [each.text.finish for each in asked] == ["eos", "eos"]


def test_nobody_waits_for_an_engine_that_is_closed(make):
    engine = make()
    engine.close()
    with pytest.raises(RuntimeError, match="closed"):
        engine.put([Asked(2).text])
