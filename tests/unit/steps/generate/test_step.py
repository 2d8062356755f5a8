"""The generate step, with a network that always says the same, and a stand-in for Triton."""

import hashlib
import json
import sys
import threading
import time
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from collector import attributes, collecting
from tokenizers import Tokenizer, models, pre_tokenizers

from encserve_server.steps.encode.host.requirements import HostRequirements
from encserve_server.steps.generate import engine
from encserve_server.steps.generate.decoder.network import GenerateNetwork, Shape
from encserve_server.steps.generate.decoder.round import Round
from encserve_server.steps.instance.lanes import LANES
from encserve_server.steps.instance.load_page import tokens_in
from encserve_server.steps.request.health import PARAMETER as HEALTH
from encserve_server.steps.request.health import TOKEN_VARIABLE

WORDS = {"</s>": 0, "a": 1, "b": 2, "nan": 3}
ARGS = {"model_name": "t5_generate", "model_version": "1", "model_instance_name": "t5_generate_0_0"}


def whole(default, most):
    return {"kind": "whole", "default": default, "least": 0, "most": most}


SETTINGS = {
    "layout": "single_texts",
    "limits": {"max_length": 8, "max_texts_per_request": 9, "max_tokens_per_request": 32, "max_bytes_per_text": 99},
    "options": {
        "truncate": {"kind": "choice", "allowed": ["end"], "default": "end"},
        "lane": {"kind": "choice", "allowed": ["interactive", "bulk"], "default": "interactive"},
        "cancel": {"kind": "id", "default": None},
        "max_new_tokens": whole(3, 1_000_000),
        "min_new_tokens": whole(0, 9),
        "do_sample": {"kind": "flag", "default": False},
        "temperature": {"kind": "number", "default": 1.0, "above": 0.0, "most": 9.0},
        "top_k": whole(0, 9),
        "top_p": {"kind": "number", "default": 1.0, "above": 0.0, "most": 1.0},
        "seed": whole(None, 9),
        "stop": {"kind": "strings", "default": None, "most": 2},
        "stream": {"kind": "flag", "default": False},
        "num_beams": whole(1, 4),
        "length_penalty": {"kind": "number", "default": 1.0, "above": -9.0, "most": 9.0},
        "early_stopping": {"kind": "choice", "default": "false", "allowed": ["false", "true", "never"]},
        "repetition_penalty": {"kind": "number", "default": 1.0, "above": 0.0, "most": 9.0},
        "no_repeat_ngram_size": whole(0, 9),
    },
    "prompts": {},
    "tensors": ["input_ids", "lengths", "token_count", "dropped_count"],
    "start_token": 0,
    "end_tokens": [0],
    "first_token": None,
    "last_tokens": [],
    "never_tokens": [],
    "renormalizes": False,
    "languages": None,
    "shape": {"layers": 1, "heads": 1, "size": 2, "vocabulary": 4},
    "engine": {"cache_bytes": 1 << 40, "logits_bytes": 1 << 40, "prefill_tokens": 8, "max_queued_texts": 2},
    "requirements": vars(HostRequirements(backend="python")),
    "graph_sha256": {},
}


class Says:
    """A network that says "a" after all but "nan", while `goes_on` is set."""

    goes_on = threading.Event()

    @classmethod
    def certified(cls, folder, settings, *, threads):
        made = cls()
        made.shape = Shape(**settings["shape"])
        return made

    encode_apart = GenerateNetwork.encode_apart

    def encode(self, texts):
        return [np.full((2, 1, len(text), 2), text[-1], np.float32) for text in texts]

    def step(self, tokens, cache):
        assert self.goes_on.wait(60)
        last = list(cache.tensors())[2][:, 0, 0, 0]
        logits = np.tile(np.array([0, 1, 0, 0], np.float32), (len(tokens), 1))
        logits[last == WORDS["nan"]] = np.nan
        cache.keep(*np.zeros((2, 1, len(tokens), 1, 1, 2), np.float32))
        return logits[:, None]


@pytest.fixture
def step(triton, tmp_path, monkeypatch):
    from encserve_server.steps.generate.step import TritonPythonModel

    tokenizer = Tokenizer(models.WordLevel(WORDS, unk_token="b"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    folder = tmp_path / "1"
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    digest = hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest()
    (folder / "settings.json").write_text(json.dumps(SETTINGS | {"tokenizer_sha256": digest}))
    monkeypatch.setenv("ENCSERVE_RUNTIME_FOLDER", str(tmp_path))
    monkeypatch.setattr(engine, "GenerateNetwork", Says)
    Says.goes_on.set()
    model, switch_s = TritonPythonModel(), sys.getswitchinterval()
    model.initialize(ARGS | {"model_repository": str(tmp_path)})
    yield model
    Says.goes_on.set()
    model.finalize()
    sys.setswitchinterval(switch_s)


@pytest.fixture
def ask(triton, step):
    """ask(*texts): a request that the step has taken."""

    def asked(*texts, cancelled=False, request_id="", timeout_us=0, **parameters):
        raw = [[text.encode() for text in texts]]
        about = {"cancelled": cancelled, "request_id": request_id, "timeout_us": timeout_us}
        request = triton.Request(json.dumps(parameters), text=raw, **about)
        step.execute([request])
        return request

    return asked


def wait_until(holds):
    until_s = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until_s, "it never was so"
        time.sleep(0.001)


def last_of(request):
    """The last response to a request."""
    wait_until(lambda: request.answers and request.answers[-1].is_last)
    return request.answers[-1]


def counted(counter, **labels):
    return counter._counts[tuple(labels.items())]


def test_a_whole_answer(step, ask):
    answer = last_of(ask("b", "a b"))
    assert answer.tensors["text_output"].tolist() == [[b"a a a", b"a a a"]]
    assert answer.tensors["finish"].tolist() == [[b"length", b"length"]]
    assert answer.tensors["token_count"].tolist() == [[1, 2]]
    wait_until(lambda: counted(step._counts._finished, reason="length") == 2)


def test_texts_for_which_the_network_gives_nan_are_counted_where_the_alert_looks(step, ask):
    assert last_of(ask("b", "nan")).error.message == (
        "INTERNAL: the network gave NaN or infinity for token 0 of a text, for texts [1] of this request"
    )
    assert last_of(ask("b")).error is None
    wait_until(lambda: texts_counted(step) == {"error": 2, "length": 1})
    assert (counted(step._counts._nonfinite), counted(step._counts._unwanted, reason="cancelled")) == (1, 0)


def test_who_has_gone_and_who_says_so_of_another_frees_the_places(step, ask):
    gone = ask("b", cancelled=True, max_new_tokens=1_000_000)
    other = ask("b", request_id="other", stream=True, max_new_tokens=1_000_000)
    assert last_of(gone).error.message.startswith("UNAVAILABLE: the request was cancelled")
    assert last_of(ask("b", cancel="other")).error.message == "CANCELLED: request other is given up"
    assert last_of(other).tensors["finish"].tolist() == [[b"cancelled"]]
    assert not step._engine._active


def test_an_end_of_the_server_waits_for_texts_whose_first_token_is_not_there_yet(ask, tmp_path):
    Says.goes_on.clear()
    request = ask("b", "b")
    assert tokens_in(tmp_path) == 2 * 3
    Says.goes_on.set()
    last_of(request)
    wait_until(lambda: tokens_in(tmp_path) == 0)


@pytest.fixture
def three_under_way(triton, step, ask, monkeypatch):
    """Three calls that are looked at all the time, and the requests that Triton was asked about."""
    looks, goes_on = [], threading.Event()

    def is_cancelled(request):
        looks.append(request)
        assert goes_on.wait(60)
        return False

    for name in ("UNDER_WAY_S", "WAITING_S", "PAUSES"):
        monkeypatch.setattr(f"encserve_server.steps.generate.answers.looks.{name}", 0)
    monkeypatch.setattr(triton.Request, "is_cancelled", is_cancelled)
    Says.goes_on.clear()
    requests = [ask("b")]
    wait_until(lambda: step._engine._active)  # or it would wait beside the others, for whom there is room for two
    requests += [ask("b") for _ in range(2)]
    yield looks, goes_on
    goes_on.set()
    Says.goes_on.set()
    for request in requests:
        assert last_of(request).error is None


def test_whether_callers_have_gone_is_asked_of_one_after_each_that_something_is_sent_to(
    step, three_under_way, monkeypatch
):
    looks, goes_on = three_under_way
    sent = []
    wait_until(lambda: looks)
    (call, *_) = step._open
    with monkeypatch.context() as patched:
        patched.setattr(type(call), "send", lambda call: sent.append(len(looks)))
        for _ in range(20):
            step._to_send.put(call)
        goes_on.set()
        wait_until(lambda: len(sent) == 20)
    asked_between = [later - sooner for sooner, later in pairwise(sent)]
    assert max(asked_between) == 1


def test_callers_are_looked_at_in_turn_also_those_who_wait(three_under_way):
    looks, goes_on = three_under_way
    goes_on.set()
    wait_until(lambda: len(looks) >= 60)
    assert len(set(looks[:60])) == 3
    assert min(map(looks[:60].count, looks[:60])) >= 10


def tokens_sent(call):
    answers = call._request.answers
    return answers[-1].tensors["output_token_count"].item() if answers else 0


@pytest.fixture
def first_of_two_streams(step, ask, monkeypatch):
    """first_of_two_streams(held_s, is_sent): the answers to it, six tokens, where one stream is not many. No round
    begins before all `is_sent` of each call; no gap between tokens is long."""

    def answers(held_s, is_sent):
        values = {"step.HELD_S": held_s, "step.STREAMS_TOKEN_BY_TOKEN": 1, "answers.call.LONG_GAP_S": 60}
        for name, value in values.items():
            monkeypatch.setattr(f"encserve_server.steps.generate.{name}", value)
        goes_on = Says.step

        def in_turn(*about):
            wait_until(lambda: all(is_sent(call) for call in list(step._open)))
            return goes_on(*about)

        monkeypatch.setattr(Says, "step", in_turn)
        Says.goes_on.clear()
        streams = [ask("b", stream=True, max_new_tokens=6) for _ in range(2)]
        Says.goes_on.set()
        assert [last_of(stream).error for stream in streams] == [None, None]
        wait_until(lambda: not step._streams)
        made = streams[0].answers
        assert b"".join(answer.tensors["text_output"].item() for answer in made) == b"a a a a a a"
        return made

    return answers


def test_where_many_are_streamed_tokens_go_two_by_two(first_of_two_streams):
    answers = first_of_two_streams(3_600, lambda call: call._held or tokens_sent(call) == len(call.texts[0].tokens))
    assert len(answers) == 4  # where it were six


def test_what_is_held_for_a_token_that_does_not_come_is_sent(first_of_two_streams, monkeypatch):
    from encserve_server.steps.generate.step import GenerateCall

    held, has_held = [], GenerateCall.has_held
    monkeypatch.setattr(GenerateCall, "has_held", lambda *about: has_held(*about) and not held.append(about))
    answers = first_of_two_streams(0.001, lambda call: tokens_sent(call) == len(call.texts[0].tokens))
    assert len(answers) == 6
    assert held


def test_no_request_waits_until_another_is_told_that_it_may_not_wait(triton, step, ask, monkeypatch):
    sent, may_go = triton.Request._send, threading.Event()

    def send(request, response, flags=0):
        if response.has_error():
            may_go.wait(5)
        sent(request, response, flags)

    monkeypatch.setattr(triton.Request, "_send", send)
    Says.goes_on.clear()
    running = ask("b")
    wait_until(lambda: step._engine._active)
    waiting, refused = ask("b", "b"), [ask("b"), ask("b")]
    assert not any(request.answers for request in refused)
    may_go.set()
    assert all(last_of(request).error.message.startswith("UNAVAILABLE: 2 texts wait") for request in refused)
    Says.goes_on.set()
    for request in (running, waiting):
        assert last_of(request).error is None


def test_where_too_many_are_to_be_told_that_they_may_not_wait_the_next_is_told_at_once(triton, step, ask, monkeypatch):
    sent, begun, may_go = triton.Request._send, threading.Event(), threading.Event()

    def send(request, response, flags=0):
        if not begun.is_set():
            begun.set()
            may_go.wait(60)
        sent(request, response, flags)

    monkeypatch.setattr("encserve_server.steps.generate.step.MOST_UNTOLD", 1)
    Says.goes_on.clear()
    running = ask("b")
    wait_until(lambda: step._engine._active)
    waiting = ask("b", "b")
    monkeypatch.setattr(triton.Request, "_send", send)
    refused = [ask("b")]
    assert begun.wait(60)
    refused += [ask("b"), ask("b")]
    assert [len(request.answers) for request in refused] == [0, 0, 1]
    may_go.set()
    assert all(last_of(request).error.message.startswith("UNAVAILABLE: 2 texts wait") for request in refused)
    Says.goes_on.set()
    for request in (running, waiting):
        assert last_of(request).error is None


def test_the_time_of_a_request_goes_on_while_one_before_it_is_read(triton, step, monkeypatch):
    read = []
    monkeypatch.setattr(step, "_admit", lambda call: read.append((call.arrived_s, time.monotonic())))
    step.execute([triton.Request(), triton.Request()])
    (_, begun_s), (arrived_s, _) = read
    assert arrived_s <= begun_s


def test_work_is_shown_once_where_the_page_shows_some(step, ask, monkeypatch):
    asked, load = [], step._engine.load
    monkeypatch.setattr(step._engine, "load", lambda lane: asked.append(lane) or load(lane))
    Says.goes_on.clear()
    requests = [ask("b")]
    wait_until(lambda: step._engine._active)
    requests += [ask("b") for _ in range(2)]
    assert asked == list(LANES)
    Says.goes_on.set()
    for request in requests:
        last_of(request)


def test_chance_is_asked_where_tokens_are_drawn_alone(step, ask, monkeypatch):
    drawn = []
    chance = SimpleNamespace(randbits=lambda bits: drawn.append(bits) or 0)
    monkeypatch.setattr("encserve_server.steps.generate.step.secrets", chance)
    last_of(ask("b"))
    assert not drawn
    last_of(ask("b", do_sample=True))
    assert len(drawn) == 1


def test_streams_that_wait_for_their_turn_hold_no_piece(step, ask):
    Says.goes_on.clear()
    running = ask("b", stream=True)
    wait_until(lambda: step._engine._active)
    waiting = ask("b", stream=True)
    assert not step._streams
    Says.goes_on.set()
    for stream in (running, waiting):
        last_of(stream)


def test_who_comes_is_no_reason_to_look_whether_others_have_gone(triton, step, ask, monkeypatch):
    looks = []
    monkeypatch.setattr("encserve_server.steps.generate.answers.looks.UNDER_WAY_S", 3_600)
    monkeypatch.setattr(triton.Request, "is_cancelled", lambda request: looks.append(request))
    for _ in range(5):
        last_of(ask("b"))
    assert not looks


def test_who_would_wait_for_too_long_is_told_and_counted(step, ask):
    Says.goes_on.clear()
    running = ask("b")
    wait_until(lambda: step._engine._active)
    step._engine._pace.round_took(60.0, Round())
    waiting = ask("b")
    step._engine._passed_over = frozenset(["interactive"])
    refused = last_of(ask("b", timeout_us=2_000_000))
    assert refused.error.message.startswith("UNAVAILABLE: a text of lane interactive would wait about ")
    assert counted(step._counts._door.refused, lane="interactive", limit="timeout") == 1
    assert len(step._open) == 2
    Says.goes_on.set()
    for request in (running, waiting):
        assert last_of(request).error is None


def test_who_may_not_wait_is_told_and_nothing_is_left_of_the_request(step, ask):
    Says.goes_on.clear()
    running = ask("b")
    wait_until(lambda: step._engine._active)
    waiting = ask("b", "b")
    assert last_of(ask("b")).error.message.startswith("UNAVAILABLE: 2 texts wait in lane interactive")
    assert len(step._open) == 2
    assert counted(step._counts._door.refused, lane="interactive", limit="max_queued_texts") == 1
    Says.goes_on.set()
    for request in (running, waiting):
        assert last_of(request).error is None


@pytest.mark.parametrize(("timeout_s", "waits_s"), [(0.04, 0.02), (0.2, 0.15), (10.0, 9.5), (0.0, float("inf"))])
def test_a_text_may_wait_for_its_turn_for_half_of_its_timeout_at_least(step, ask, monkeypatch, timeout_s, waits_s):
    taken = []
    monkeypatch.setattr(step._engine, "put", taken.extend)
    ask("b", timeout_us=round(timeout_s * 1e6))
    (text,), (call,) = taken, step._open
    assert text.waits_until_s - call.arrived_s == pytest.approx(waits_s)


def requests_counted(step):
    """How many requests ended in which way, whole and streamed."""
    return {tuple(dict(labels).values()): count for labels, count in step._counts._requests._counts.items() if count}


def texts_counted(step):
    """How many texts ended for which reason."""
    return {dict(labels)["reason"]: count for labels, count in step._counts._finished._counts.items() if count}


def observed(histogram, **labels):
    histogram.tell()
    return counted(histogram._count, **labels)


def test_how_requests_end_is_counted(step, ask):
    for text, options in (("b", {}), ("b", {"stream": True}), ("nan", {"stream": True}), ("b", {"no_option": 1})):
        last_of(ask(text, **options))
    last_of(ask("b", stream=True, cancelled=True, max_new_tokens=1_000_000))
    late = ask("b", "b", timeout_us=20_000, max_new_tokens=1_000_000)
    assert last_of(late).error.message.startswith("UNAVAILABLE")
    Says.goes_on.clear()
    running = ask("b")
    wait_until(lambda: step._engine._active)
    waiting = ask("b", "b")
    refused = ask("b", stream=True)
    assert last_of(refused).error.message.startswith("UNAVAILABLE: 2 texts wait")
    Says.goes_on.set()
    for request in (running, waiting):
        last_of(request)
    wait_until(lambda: sum(requests_counted(step).values()) == 9)
    assert requests_counted(step) == {
        ("answered", "false"): 3,
        ("answered", "true"): 1,
        ("failed", "true"): 1,
        ("invalid", "false"): 1,
        ("cancelled", "true"): 1,
        ("late", "false"): 1,
        ("refused", "true"): 1,
    }
    wait_until(lambda: observed(step._counts._request, lane="interactive") == 4)
    wait_until(lambda: observed(step._counts._refusal, lane="interactive") == 1)


def test_tokens_that_nobody_waited_for_are_counted(step, ask):
    request = ask("b", request_id="other", stream=True, max_new_tokens=1_000_000)
    wait_until(lambda: request.answers)
    last_of(ask("b", cancel="other"))
    made = last_of(request).tensors["output_token_count"].item()
    wait_until(lambda: counted(step._counts._unwanted, reason="cancelled"))
    assert counted(step._counts._unwanted, reason="cancelled") == made > 0
    assert requests_counted(step) == {("cancelled", "true"): 1}  # and none for the message
    assert counted(step._counts._door.messages) == 1


def test_texts_beside_one_that_is_late_are_late(step, ask):
    Says.goes_on.clear()
    request = ask("b", "b")
    wait_until(lambda: len(step._engine._active) == 2)
    step._engine._active[1].deadline_s = 0.0
    Says.goes_on.set()
    assert last_of(request).error.message.startswith("UNAVAILABLE")
    wait_until(lambda: texts_counted(step) == {"deadline": 2})
    assert counted(step._counts._unwanted, reason="cancelled") == 0


def test_questions_of_health_are_no_texts_and_no_requests(monkeypatch, request):
    monkeypatch.setenv(TOKEN_VARIABLE, "secret")
    ask, step = request.getfixturevalue("ask"), request.getfixturevalue("step")
    last_of(ask("nan", **{HEALTH: "secret"}))
    assert last_of(ask("b")).error is None
    wait_until(lambda: texts_counted(step) == {"length": 1})
    assert counted(step._counts._nonfinite) == 0
    assert requests_counted(step) == {("answered", "false"): 1}


def test_a_question_of_health_is_one_short_text_that_asks_for_little(monkeypatch, request):
    monkeypatch.setenv(TOKEN_VARIABLE, "secret")
    ask, step = request.getfixturevalue("ask"), request.getfixturevalue("step")
    taken = []
    monkeypatch.setattr(step._engine, "put", lambda texts: taken.append(texts[0].first))
    for texts, options in ((["b"], {}), (["b", "b"], {}), (["b"], {"max_new_tokens": 100})):
        ask(*texts, **options, **{HEALTH: "secret"})
    assert taken == [True, False, False]


def test_times_and_sizes_are_counted(step, ask):
    last_of(ask("b", "a b", lane="bulk"))
    counts = step._counts
    assert observed(counts._first_token, lane="bulk") == 2
    wait_until(lambda: observed(counts._token_gap) == 2 * (3 - 1))
    assert counted(counts._steps) == observed(counts._rows_per_step)
    assert counted(counts._rows) == counted(counts._tokens, kind="output") == 2 * 3


def test_a_traced_request_tells_when_its_turn_came_and_what_was_made(triton, tmp_path, monkeypatch, request):
    with collecting() as collector:
        monkeypatch.setenv("ENCSERVE_OTLP", collector.url)
        ask = request.getfixturevalue("ask")
        parent = f"00-{'ab' * 16}-{'cd' * 8}-01"
        last_of(ask("b", "a b", traceparent=parent, request_id="me"))
        refused = ask("b", traceparent=parent, max_new_tokens=-1)
        wait_until(lambda: refused.answers and len(collector.spans) == 6)
    mine = [span for span in collector.spans if "error.type" not in attributes(span)]
    spans = {span.name: span for span in mine}
    assert spans.keys() == {"t5", "tokenize", "queue", "generate"}
    assert spans["t5"].parent_span_id.hex() == "cd" * 8
    assert {span.parent_span_id for name, span in spans.items() if name != "t5"} == {spans["t5"].span_id}
    ends = [spans[name] for name in ("tokenize", "queue", "generate")]
    assert [each.end_time_unix_nano for each in ends[:2]] == [each.start_time_unix_nano for each in ends[1:]]
    assert spans["t5"].start_time_unix_nano == ends[0].start_time_unix_nano
    made = attributes(spans["generate"])
    assert (made["encserve.tokens"], made["encserve.output_tokens"]) == (3, 6)
    whole_s = (spans["t5"].end_time_unix_nano - spans["t5"].start_time_unix_nano) / 1e9
    assert 0 < made["encserve.first_piece_s"] <= whole_s
    failed = {span.name: attributes(span)["error.type"] for span in collector.spans if span not in mine}
    assert failed == {"t5": "INVALID_ARGUMENT", "tokenize": "INVALID_ARGUMENT"}
