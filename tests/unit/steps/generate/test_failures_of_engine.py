"""What fails in an engine fails the texts that it is about, and no others."""

from counting_engine import BREAKS, END, LEAKS, NAN, UNREADABLE, Asked, networks, threading_gate

from encserve_server.steps.generate.decoder.cache import Cache
from encserve_server.steps.generate.door.in_time import InTime
from encserve_server.steps.generate.texts.choice import Choice
from encserve_server.steps.generate.texts.text import Estimate, NotFinite


def test_nan_of_a_text_does_not_reach_those_that_are_encoded_with_it(make):
    engine, bad, good = make(), Asked(LEAKS), Asked(5)
    engine.put([bad.text, good.text])
    threading_gate.set()
    assert good.ended() == ([4, 3, 2, 1, 0], "eos")
    assert bad.over.wait(30)
    assert isinstance(bad.text.error, NotFinite)


def test_a_text_whose_logits_are_not_finite_fails_alone(make):
    engine, bad, good = make(), Asked(NAN), Asked(5)
    engine.put([bad.text, good.text])
    threading_gate.set()
    assert good.ended()[1] == "eos"
    assert bad.over.wait(30)
    assert isinstance(bad.text.error, NotFinite)
    assert not engine.reported


def test_a_text_whose_token_cannot_be_chosen_fails_alone(make):
    class Fails(Choice):
        def token(self, logits, made, most):
            raise IndexError("no token may be drawn")

    engine, bad, good = make(), Asked(9), Asked(5)
    bad.text.choice = Fails(ends=(END,))
    engine.put([bad.text, good.text])
    threading_gate.set()
    assert good.ended() == ([4, 3, 2, 1, 0], "eos")
    assert bad.over.wait(30)
    assert isinstance(bad.text.error, IndexError)
    assert engine.reported == [("engine", "no token may be drawn")]


def test_texts_that_find_no_memory_in_the_cache_are_answered_too(make, monkeypatch):
    added = Cache.add

    def add(cache, source):
        if source.shape[2] == 3:
            raise MemoryError("no memory")
        return added(cache, source)

    engine = make()
    monkeypatch.setattr(Cache, "add", add)
    first, second, third = Asked(5), Asked(1, 1, 5), Asked(6)
    engine.put([first.text, second.text, third.text])
    threading_gate.set()
    for asked in (first, second, third):
        assert asked.over.wait(30)
        assert isinstance(asked.text.error, MemoryError)
    assert not engine._active


def test_a_failure_leaves_no_work_behind_on_the_page(make):
    counted = []
    engine, bad = make(count=lambda step: counted.append(engine.load("interactive").tokens)), Asked(BREAKS)
    engine.put([bad.text])
    threading_gate.set()
    assert bad.over.wait(30)
    engine.close()
    assert counted[-1:] == [0]


def test_a_network_that_fails_fails_its_texts_and_the_engine_goes_on(make):
    engine, bad = make(), Asked(BREAKS)
    engine.put([bad.text])
    threading_gate.set()
    assert bad.over.wait(30)
    assert str(bad.text.error) == "the network breaks"
    after = Asked(3)
    engine.put([after.text])
    assert after.ended() == ([2, 1, 0], "eos")
    assert engine.reported == [("engine", "the network breaks")]


def test_a_text_that_had_ended_before_a_failure_stays_what_it_was(make, monkeypatch):
    def remove(cache, row):
        raise MemoryError("no memory")

    monkeypatch.setattr(Cache, "remove", remove)
    engine, short, long = make(), Asked(1), Asked(9)
    engine.put([short.text, long.text])
    threading_gate.set()
    assert long.over.wait(30)
    assert str(long.text.error) == "no memory"
    engine.close()
    assert (short.ended(), short.text.error, len(short.told)) == (([0], "eos"), None, 1)


def test_texts_that_cannot_be_encoded_fail_without_those_under_way(make):
    engine, running, bad = make(), Asked(9), Asked(UNREADABLE)
    engine.put([running.text])
    assert networks[0].stepping.wait(30)
    engine.put([bad.text])
    threading_gate.set()
    assert bad.over.wait(30)
    assert str(bad.text.error) == "the encoder breaks"
    assert running.ended()[1] == "eos"
    assert engine.reported == [("engine", "the encoder breaks")]


def breaks(*about):
    raise ArithmeticError("nothing is known")


def lose(engine, *lost):
    """Have these be lost from the next round on, for others that want their places."""

    def is_lost(text, now_s):
        if is_one := any(text is asked.text for asked in lost):
            text.estimate = Estimate(2.0, 0.1)
        return is_one

    engine._pace.is_lost = is_lost
    engine._was_refused = True


def test_where_nothing_can_be_learnt_of_late_texts_each_is_answered(make, monkeypatch):
    engine, running, decoded, waiting = make(), Asked(9), [Asked(9), Asked(9)], [Asked(9), Asked(9)]
    monkeypatch.setattr(engine._pace, "took", breaks)
    engine.put([running.text, *(asked.text for asked in decoded)])
    assert networks[0].stepping.wait(30)
    engine.put([asked.text for asked in waiting])
    lose(engine, *decoded, *waiting)
    threading_gate.set()
    for asked in (*decoded, *waiting):
        assert asked.over.wait(30)
        assert isinstance(asked.text.error, ArithmeticError)
    assert running.ended()[1] == "eos"


def test_a_text_that_cannot_be_taken_out_leaves_none_without_an_answer_that_was(make, monkeypatch):
    removed, remove = [], Cache.remove

    def remove_one(cache, row):
        removed.append(row)
        if len(removed) == 2:
            raise MemoryError("no memory")
        return remove(cache, row)

    engine, lost = make(), [Asked(9) for _ in range(3)]
    monkeypatch.setattr(Cache, "remove", remove_one)
    engine.put([asked.text for asked in lost])
    assert networks[0].stepping.wait(30)
    lose(engine, *lost)
    threading_gate.set()
    for asked in lost:
        assert asked.over.wait(30)
    assert [asked.text.finish for asked in lost] == ["", "", "deadline"]


def test_texts_whose_turn_had_come_before_a_failure_are_answered(make, monkeypatch):
    engine, running, coming = make(), Asked(9), Asked(5)
    engine.put([running.text])
    assert networks[0].stepping.wait(30)
    monkeypatch.setattr(InTime, "take", breaks)
    engine.put([coming.text])
    threading_gate.set()
    for asked in (running, coming):
        assert asked.over.wait(30)
        assert isinstance(asked.text.error, ArithmeticError)
    assert not engine._active
