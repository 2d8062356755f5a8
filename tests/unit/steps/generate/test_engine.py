"""Continuous batching, with a network that counts."""

import json
import threading
import time

import numpy as np
import pytest
from trained_tokenizers import byte_level_tokenizer

from encserve_server.steps.encode.host.requirements import HostRequirements
from encserve_server.steps.generate import engine as engine_module
from encserve_server.steps.generate.cache import BLOCK, Cache
from encserve_server.steps.generate.choice import Choice
from encserve_server.steps.generate.door import QueueFull
from encserve_server.steps.generate.engine import Engine
from encserve_server.steps.generate.network import GenerateNetwork, Shape
from encserve_server.steps.generate.pieces import Pieces
from encserve_server.steps.generate.round import Round
from encserve_server.steps.generate.text import GeneratedText, NotFinite
from encserve_server.steps.instance.lanes import LANES
from encserve_server.steps.request.options import InvalidArgument

END, VOCABULARY, LEAKS, UNREADABLE, NAN, BREAKS = 0, 60, 56, 57, 58, 59
SHAPE = {"layers": 1, "heads": 1, "size": 2, "vocabulary": VOCABULARY}
BYTES_PER_TOKEN = 16
LIMITS = {"cache_bytes": 10_000, "logits_bytes": 10_000, "prefill_tokens": 8, "max_queued_texts": 5}


class CountingNetwork:
    """Says the numbers before the last one of a text, down to the end: of a text that ends with 3 it says 2, 1, 0."""

    def __init__(self, shape):
        self.shape = shape
        self.gate = threading_gate
        self.encoded, self.steps = [], []
        self.stepping = threading.Event()  # a text is decoded from then on, and has its room
        networks.append(self)

    @classmethod
    def certified(cls, folder, settings, *, threads):
        return cls(Shape(**settings["shape"]))

    encode_apart = GenerateNetwork.encode_apart

    def encode(self, texts):
        if any(UNREADABLE in text for text in texts):
            raise RuntimeError("the encoder breaks")
        self.encoded.append([text.tolist() for text in texts])
        leaks = any(LEAKS in text for text in texts)
        return [np.full((2, 1, len(text), 2), np.nan if leaks else text[-1], np.float32) for text in texts]

    def step(self, tokens, cache):
        self.stepping.set()
        self.gate.wait(30)
        first = [places[0, 0, 0] for places in list(cache.tensors())[2]]
        sources = [NAN if np.isnan(each) else int(each) for each in first]
        assert len(sources) == len(tokens)
        if BREAKS in sources:
            raise RuntimeError("the network breaks")
        said = [source - kept - 1 for source, kept in zip(sources, cache.kept, strict=True)]
        self.steps.append(said)
        cache.keep(*np.zeros((2, 1, *tokens.shape, 1, 2), np.float32))
        logits = np.zeros((len(said), VOCABULARY), np.float32)
        logits[np.arange(len(said)), said] = 1
        logits[[row for row, source in enumerate(sources) if source == NAN]] = np.nan
        return np.repeat(logits[:, None], tokens.shape[1], axis=1)


threading_gate = threading.Event()
networks = []


@pytest.fixture
def make(tmp_path, monkeypatch):
    """make(**limits): an engine whose steps wait until the gate is open."""
    threading_gate.clear()
    networks.clear()
    monkeypatch.setattr(engine_module, "GenerateNetwork", CountingNetwork)
    requirements = HostRequirements(backend="python").__dict__
    settings = {"shape": SHAPE, "requirements": requirements, "graph_sha256": {}, "start_token": 7}
    engines = []

    def made(count=lambda step: None, **limits):
        (tmp_path / "settings.json").write_text(json.dumps({**settings, "engine": LIMITS | limits}))
        reported = []
        engine = Engine(tmp_path, count=count, report=lambda where, error: reported.append((where, str(error))))
        engine.reported = reported
        engines.append(engine)
        return engine

    yield made
    threading_gate.set()
    for engine in engines:
        engine.close()


class Asked:
    """A text, and what was told of it."""

    def __init__(self, *source, lane="interactive", most=50, least=0, beams=1, **about):
        self.told, self.over = [], threading.Event()
        self.text = GeneratedText(
            source=np.array(source, np.int64),
            choice=Choice(ends=(END,), min_new_tokens=least, beams=beams),
            max_new_tokens=most,
            pieces=Pieces(byte_level_tokenizer()),
            tell=self._tell,
            lane=lane,
            **about,
        )

    def _tell(self, text, piece):
        self.told.append(piece)
        if text.ended:
            self.over.set()

    def ended(self):
        assert self.over.wait(30)
        return self.text.tokens, self.text.finish


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
    assert not engine._room.fits([Asked(3).text, Asked(3, beams=2).text])
    assert engine._room.fits([Asked(3, beams=3).text])  # which waits until it is alone


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
    complaint = r"lane interactive would wait about 3\.1 s .* timeout it may wait 2 s: try again later"
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


def test_nan_of_a_text_does_not_reach_those_that_are_encoded_with_it(make):
    engine, bad, good = make(), Asked(LEAKS), Asked(5)
    engine.put([bad.text, good.text])
    threading_gate.set()
    assert good.ended() == ([4, 3, 2, 1, 0], "eos")
    assert bad.over.wait(30)
    assert isinstance(bad.text.error, NotFinite)


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


def test_a_text_whose_logits_are_not_finite_fails_alone(make):
    engine, bad, good = make(), Asked(NAN), Asked(5)
    engine.put([bad.text, good.text])
    threading_gate.set()
    assert good.ended()[1] == "eos"
    assert bad.over.wait(30)
    assert isinstance(bad.text.error, NotFinite)
    assert not engine.reported


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


def test_what_is_there_is_decoded_before_the_engine_closes(make):
    engine, asked = make(), [Asked(9), Asked(7)]
    engine.put([each.text for each in asked])
    threading_gate.set()
    engine.close()
    assert [each.text.finish for each in asked] == ["eos", "eos"]
