"""Texts of an engine for which nobody waits any more, or that come too late."""

import time

from counting_engine import BYTES_PER_TOKEN, Asked, CountingNetwork, networks, threading_gate

from encserve_server.steps.generate.decoder.cache import BLOCK
from encserve_server.steps.generate.decoder.round import Round
from encserve_server.steps.generate.texts.text import Estimate


def test_who_waits_until_the_time_is_nearly_up_is_told_while_it_is_there(make):
    engine = make(cache_bytes=3 * BLOCK * BYTES_PER_TOKEN)
    running, waiting = Asked(20), Asked(2, waits_until_s=0.0, deadline_s=time.monotonic() + 3_600)
    engine.put([running.text])
    assert networks[0].stepping.wait(30)
    engine.put([waiting.text])
    threading_gate.set()
    assert waiting.ended() == ([], "deadline")
    assert running.ended()[1] == "eos"


def test_a_text_that_cannot_be_whole_in_time_leaves_its_place_to_one_that_waits(make):
    engine = make(cache_bytes=3 * BLOCK * BYTES_PER_TOKEN)
    lost, waiting = Asked(40, least=35, deadline_s=time.monotonic() + 3_600), Asked(2)
    engine.put([lost.text])
    assert networks[0].stepping.wait(30)
    engine._pace.is_lost = lambda text, now_s: text is lost.text
    engine.put([waiting.text])
    threading_gate.set()
    assert waiting.ended() == ([1, 0], "eos")
    assert lost.ended()[1] == "deadline"
    assert len(lost.text.tokens) == 1


def test_where_nobody_wants_its_place_a_text_is_made_until_its_time_is_up(make):
    engine, lost = make(), Asked(40, least=35, deadline_s=time.monotonic() + 3_600)
    engine.put([lost.text])
    assert networks[0].stepping.wait(30)
    engine._pace.is_lost = lambda text, now_s: text is lost.text
    threading_gate.set()
    assert lost.ended()[1] == "eos"


def test_who_waits_and_cannot_be_whole_in_time_any_more_is_told_so(make):
    engine = make(cache_bytes=3 * BLOCK * BYTES_PER_TOKEN)
    running, waiting = Asked(40, least=35), Asked(30, least=25, deadline_s=time.monotonic() + 3_600)
    engine.put([running.text])
    assert networks[0].stepping.wait(30)
    engine.put([waiting.text])
    engine._pace.is_lost = lambda text, now_s: text is waiting.text
    threading_gate.set()
    assert waiting.ended() == ([], "deadline")
    assert running.ended()[1] == "eos"


def test_nobody_is_let_in_beside_texts_that_would_be_late_for_it(make):
    engine = make()
    under_way, comes = Asked(40, least=35, deadline_s=time.monotonic() + 31_000), Asked(2)
    engine.put([under_way.text])
    assert networks[0].stepping.wait(30)
    engine._pace.round_took(1_000.0, Round())  # of which, with one more text in each, too few fit
    engine.put([comes.text])
    threading_gate.set()
    for asked in (under_way, comes):
        assert asked.ended()[1] == "eos"
    assert networks[0].steps[1] == [38]


def test_who_has_gone_gets_no_more_tokens(make):
    engine = make()
    left, late, stays = Asked(40), Asked(40, deadline_s=0.0), Asked(5)
    engine.put([left.text, stays.text])
    engine.put([late.text])
    assert networks[0].stepping.wait(30)
    left.text.given_up = True
    threading_gate.set()
    assert stays.ended() == ([4, 3, 2, 1, 0], "eos")
    assert left.ended()[1] == "cancelled"
    assert len(left.text.tokens) <= 1
    assert late.ended() == ([], "deadline")


def test_who_has_gone_while_the_network_computes_gets_no_token_of_that_step(make):
    done = []
    engine, left, stays = make(count=done.append), Asked(40), Asked(5)
    engine.put([left.text, stays.text])
    assert networks[0].stepping.wait(30)
    left.text.given_up = True
    threading_gate.set()
    assert left.ended() == ([], "cancelled")
    assert stays.ended()[1] == "eos"
    assert (done[0].rows, done[0].tokens) == ([2], 1)


def test_who_has_gone_before_its_step_in_a_round_frees_its_place_at_once(make, monkeypatch):
    """Texts with other beams have a step of their own, behind that of those without."""
    step = CountingNetwork.step

    def late(network, tokens, cache):
        assert cache.beams == 1, "a text whose time is up is decoded"
        wide.text.deadline_s = 0.0
        return step(network, tokens, cache)

    monkeypatch.setattr(CountingNetwork, "step", late)
    engine, narrow, wide = make(), Asked(2), Asked(9, beams=2)
    engine.put([narrow.text])
    engine.put([wide.text])
    threading_gate.set()
    assert wide.ended() == ([], "deadline")
    assert narrow.ended() == ([1, 0], "eos")
    assert not engine.reported


def test_of_a_text_whose_time_passes_while_the_network_computes_it_is_learnt_how_long_it_took(make, monkeypatch):
    step, learnt = CountingNetwork.step, []

    def long(network, tokens, cache):
        late.text.deadline_s = 0.0
        return step(network, tokens, cache)

    monkeypatch.setattr(CountingNetwork, "step", long)
    engine, late = make(), Asked(9)
    late.text.estimate = Estimate(2.0, 0.1)
    monkeypatch.setattr(engine._pace, "took", lambda text, now_s: learnt.append(text))
    engine.put([late.text])
    threading_gate.set()
    assert late.ended() == ([], "deadline")
    assert learnt == [late.text]


def test_how_long_a_text_of_one_token_took_is_learnt_once(make, monkeypatch):
    engine, short, learnt = make(), Asked(1), []
    short.text.estimate = Estimate(2.0, 0.1)
    monkeypatch.setattr(engine._pace, "took", lambda text, now_s: learnt.append(text))
    engine.put([short.text])
    threading_gate.set()
    assert short.ended() == ([0], "eos")
    engine.close()
    assert learnt == [short.text]
