"""Who may wait for an engine, and what it says of the work that waits."""

import threading
import time

import pytest
from counting_engine import BYTES_PER_TOKEN, Asked, CountingNetwork, networks, threading_gate

from encserve_server.steps.generate.decoder.cache import BLOCK
from encserve_server.steps.generate.decoder.round import Round
from encserve_server.steps.generate.door.refusal import QueueFull
from encserve_server.steps.instance.lanes import LANES
from encserve_server.steps.request.options import InvalidArgument


def test_what_could_never_fit_is_refused(make):
    engine = make(cache_bytes=20 * BYTES_PER_TOKEN)
    with pytest.raises(InvalidArgument, match=r"2 tokens with max_new_tokens 19 needs 1024 bytes .* cache_bytes is 32"):
        engine.put([Asked(1, 1, most=19).text])


def test_too_many_texts_may_not_even_wait_but_a_question_of_health_may(make):
    engine = make()
    running = Asked(40)
    engine.put([running.text])
    while not engine._active:  # a text that is encoded is not yet among them
        threading.Event().wait(0.001)
    engine.put([Asked(2).text for _ in range(5)])
    with pytest.raises(QueueFull, match="5 texts wait in lane interactive; max_queued_texts is 5"):
        engine.put([Asked(2).text])
    assert engine.load("interactive").tokens == 50 + 5 * 50
    engine.put([Asked(2, lane="bulk").text])
    health = Asked(2, first=True)
    engine.put([health.text])
    threading_gate.set()
    assert health.ended() == ([1, 0], "eos")


def test_who_would_wait_for_too_long_is_told_at_once(make):
    engine = make(cache_bytes=3 * BLOCK * BYTES_PER_TOKEN)
    running = Asked(40, least=30)
    engine.put([running.text])
    assert networks[0].stepping.wait(30)
    engine._pace.round_took(0.1, Round())
    complaint = r"lane interactive would wait about 3\.1 s .* timeout it may wait (2|1\.\d+) s: try again later"
    with pytest.raises(QueueFull, match=complaint) as refused:
        engine.put([Asked(2, deadline_s=time.monotonic() + 4).text])
    assert refused.value.limit == "timeout"
    in_time, without_an_end = Asked(2, deadline_s=time.monotonic() + 3_600), Asked(2)
    health = Asked(2, deadline_s=time.monotonic() + 1, first=True)
    for asked in (in_time, without_an_end, health):
        engine.put([asked.text])
    threading_gate.set()
    for asked in (in_time, without_an_end, running):
        assert asked.ended()[1] == "eos"


def test_work_that_waits_is_that_of_texts_for_which_a_round_had_no_room(make):
    told = []

    def tell(done):
        told.append((*(engine.work(lane).tokens for lane in LANES), engine.work("interactive").rate))

    engine = make(count=tell, cache_bytes=3 * BLOCK * BYTES_PER_TOKEN)
    running, waiting, bulk = Asked(40, least=30), Asked(12, least=10), Asked(2, lane="bulk")
    engine.put([running.text])
    while not engine._active:  # a text that is encoded is not yet among them
        threading.Event().wait(0.001)
    for each in (waiting, bulk):
        engine.put([each.text])
    threading_gate.set()
    for each in (running, waiting, bulk):
        each.ended()
    assert told[0][:2] == (0, 0)  # they came when the round had begun, and the next one may have room
    assert told[1][:2] == (10, 1)
    assert told[1][2] > 0
    assert told[-1][:2] == (0, 0)


def test_texts_that_only_wait_to_be_encoded_find_the_engine_not_full(make):
    done, work = [], []

    def tell(this):
        done.append(this)
        work.append(engine.work("interactive").tokens)

    engine = make(count=tell, prefill_tokens=1)
    asked = [Asked(9) for _ in range(3)]
    engine.put([each.text for each in asked])
    threading_gate.set()
    for each in asked:
        each.ended()
    assert networks[0].encoded == [[[9]]] * 3
    assert not any(this.is_full for this in done)
    assert not any(work)


def test_who_has_room_beside_a_text_with_beams_does_not_wait_for_its_end(make):
    rows = {"wide": 9, "narrow": 3}  # in blocks: of the source, and for each hypothesis two
    engine = make(cache_bytes=(rows["wide"] + 2 * rows["narrow"]) * BLOCK * BYTES_PER_TOKEN)
    wide = Asked(40, least=30, beams=4)
    engine.put([wide.text])
    assert networks[0].stepping.wait(30)
    engine._pace.round_took(0.1, Round())
    deadline_s = time.monotonic() + 4
    first, second, third = (Asked(12, least=9, deadline_s=deadline_s) for _ in range(3))
    with pytest.raises(QueueFull, match=r"would wait about \d\.\d s"):
        engine.put([Asked(40, least=40, beams=4, deadline_s=deadline_s).text])
    for asked in (first, second, third):  # the third comes when one of them has ended
        engine.put([asked.text])
    threading_gate.set()
    assert [asked.ended()[1] for asked in (first, second, third)] == ["eos"] * 3
    wide.ended()


def test_a_request_waits_for_the_last_of_its_texts(make):
    engine = make(cache_bytes=3 * BLOCK * BYTES_PER_TOKEN)
    running = Asked(40, least=30)
    engine.put([running.text])
    assert networks[0].stepping.wait(30)
    engine._pace.round_took(0.1, Round())
    deadline_s = time.monotonic() + 8
    first, last = Asked(30, least=10, deadline_s=deadline_s), Asked(2, deadline_s=deadline_s)
    with pytest.raises(QueueFull, match=r"lane interactive would wait about 4\.1 s"):
        engine.put([first.text, last.text])
    engine.put([first.text])  # which alone would wait 3.1 s
    threading_gate.set()
    assert first.ended()[1] == running.ended()[1] == "eos"


def test_the_pace_of_texts_that_are_gone_refuses_nobody(make):
    engine, first = make(), Asked(3)
    engine._pace.round_took(60.0, Round())
    threading_gate.set()
    engine.put([first.text])
    first.ended()
    while engine._pace.round_s:
        threading.Event().wait(0.001)
    engine.put([Asked(40).text])
    engine.put([Asked(3, deadline_s=time.monotonic() + 30).text])


def test_texts_that_are_encoded_now_are_seen(make, monkeypatch):
    encode, seen = CountingNetwork.encode, []

    def long(network, texts):
        seen.append((engine.load("interactive").tokens, engine.decoded("interactive"), engine._before("bulk").texts))
        return encode(network, texts)

    monkeypatch.setattr(CountingNetwork, "encode", long)
    engine, asked = make(), Asked(2)
    threading_gate.set()
    engine.put([asked.text])
    asked.ended()
    assert seen == [(50, 1, 1)]


def test_a_request_of_bulk_changes_nothing_of_what_comes_before_interactive_texts(make):
    engine, running = make(), Asked(40)
    engine.put([running.text])
    assert networks[0].stepping.wait(30)
    engine.put([Asked(2).text])
    ahead = engine._ahead["interactive"]
    engine.put([Asked(2, lane="bulk").text])
    assert engine._ahead["interactive"] is ahead
    assert engine._ahead["bulk"].texts == 3
    engine.put([Asked(2).text])
    assert [engine._ahead[lane].texts for lane in LANES] == [3, 4]
