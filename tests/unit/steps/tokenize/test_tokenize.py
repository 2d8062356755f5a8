"""The shell of the tokenize step, around a tokenizer that may fail."""

import hashlib
import json
import threading
import time
from types import SimpleNamespace

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from encserve_server.steps.instance import loops
from encserve_server.steps.instance.load_page import Load, LoadWriter
from encserve_server.steps.tokenize.door.sent_requests import Marked

OPTIONS = {
    "truncate": {"kind": "choice", "allowed": ["end", "error"], "default": "end"},
    "prompt_name": {"kind": "choice", "allowed": ["query"], "default": None},
    "lane": {"kind": "choice", "allowed": ["interactive", "bulk"], "default": "interactive"},
    "cancel": {"kind": "id", "default": ""},
}
SETTINGS = {
    "layout": "single_texts",
    "limits": {"max_length": 8, "max_texts_per_request": 4, "max_tokens_per_request": 32, "max_bytes_per_text": 100},
    "options": OPTIONS,
    "prompts": {},
    "queue": {"max_queued_texts": 100, "max_queued_bytes": 10_000},
    "encode_model": "minilm_encode",
    "tensors": ["input_ids", "lengths", "token_count", "dropped_count"],
}
ARGS = {"model_name": "minilm_tokenize", "model_version": "1", "model_instance_name": "minilm_tokenize_0_0"}


class Panic(BaseException):
    """As the Rust side of a tokenizer raises it."""


class Encoder:
    """The page of an encode step that says what the test wants."""

    def __init__(self, folder):
        self._page = LoadWriter(folder / "encode.load", 0)

    def has(self, tokens):
        for lane in ("interactive", "bulk"):
            self._page.tell(lane, Load(tokens=tokens, rate=0.0, room=100))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A version folder, which is the folder of the pages too."""
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "b": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    version = tmp_path / "1"
    version.mkdir()
    tokenizer.save(str(version / "tokenizer.json"))
    digest = hashlib.sha256((version / "tokenizer.json").read_bytes()).hexdigest()
    (version / "settings.json").write_text(json.dumps(SETTINGS | {"tokenizer_sha256": digest}))
    monkeypatch.setenv("ENCSERVE_RUNTIME_FOLDER", str(tmp_path))
    return version


@pytest.fixture
def encoder(folder):
    return Encoder(folder.parent)


@pytest.fixture
def step(triton, folder, encoder, monkeypatch):
    from encserve_server.steps.tokenize import step as module
    from encserve_server.steps.tokenize.door import encode_load
    from encserve_server.steps.tokenize.step import TritonPythonModel

    def page_file(model, version):
        return folder.parent / ("encode.load" if model.endswith("encode") else "own.load")

    for each in (module, encode_load):
        monkeypatch.setattr(each, "page_file", page_file)
    monkeypatch.setattr(loops, "PAUSE_S", 0.0)
    encoder.has(0)
    model = TritonPythonModel()
    model.initialize(ARGS | {"model_repository": str(folder.parent)})
    yield model
    encoder.has(0)
    model.finalize()


def request_of(triton, *texts, **given):
    parameters = json.dumps(given.pop("parameters", {}))
    return triton.Request(parameters, text=[[text.encode() for text in texts]], **given)


def answer_of(request):
    """What a request that waited is sent."""
    deadline_s = time.monotonic() + 60
    while not request.answers:
        assert time.monotonic() < deadline_s, "nobody answered"
        time.sleep(0.001)
    (answer,) = request.answers
    return answer


def ids_of(answer):
    assert answer.error is None, answer.error.message
    return answer.tensors["input_ids"].tolist()


def full(encoder, step):
    """Let nobody in until the encoder has room again."""
    encoder.has(1_000)
    while (load := step._turns._load("interactive")) is None or load.tokens < 1_000:
        time.sleep(0.001)


def counted(counter, **labels):
    return counter._counts[tuple(labels.items())]


def break_tokenizer(step, *, at="panic"):
    genuine = step._tokenization.tokenize

    def tokenize(requests):
        if any(at in text for groups, _ in requests for group in groups for text in group):
            raise Panic("index out of range in `panic`")
        return genuine(requests)

    step._tokenization.tokenize = tokenize


def test_who_waits_is_answered_although_the_step_is_unloaded(triton, step, encoder):
    """As where another version takes its place: Triton then waits for no request that `execute` has returned from."""
    full(encoder, step)
    waiting = [request_of(triton, "a"), request_of(triton, "b", parameters={"lane": "bulk"})]
    assert step.execute(waiting) == [None, None]
    unloading = threading.Thread(target=step.finalize)
    unloading.start()
    encoder.has(0)
    assert [ids_of(answer_of(request)) for request in waiting] == [[[1]], [[2]]]
    unloading.join(60)
    assert not unloading.is_alive()


def test_a_server_that_closes_waits_for_nobody_at_the_door(triton, step, encoder, folder):
    """There is no next step to which a request could go on. Who can still be answered was waited for before."""
    full(encoder, step)
    assert step.execute([request_of(triton, "a")]) == [None]
    (folder.parent / "closing").touch()
    step.finalize()


def test_requests_are_answered_at_once_where_there_is_room(triton, step):
    first, second = step.execute([request_of(triton, "a b", "b"), request_of(triton, "a")])
    assert ids_of(first) == [[1, 2, 2]]
    assert ids_of(second) == [[1]]


def test_a_text_at_which_the_tokenizer_fails_fails_alone_and_is_not_logged(triton, step):
    break_tokenizer(step)
    requests = [
        request_of(triton, "a"),
        request_of(triton, *["a"] * 5),
        request_of(triton, "panic", request_id="7"),
        request_of(triton, "b"),
    ]
    good, refused, failed, also_good = step.execute(requests)
    assert (ids_of(good), ids_of(also_good)) == ([[1]], [[2]])
    assert (refused.error.code, refused.error.message[:24]) == ("invalid", "the request has 5 texts;")
    assert failed.error.code == "internal"
    assert failed.error.message == "minilm_tokenize failed (Panic); the server's log says where"  # not the text
    assert counted(step._failures._errors, where="tokenizer") == 1
    (line,) = triton.logged
    assert line.startswith("minilm_tokenize: internal error in tokenizer of request '7': Panic at test_tokenize.py")
    assert "index out of range" not in line


def test_a_request_is_as_large_as_its_texts_in_utf8(step, triton):
    call = type("Call", (), {"id": "", "timeout_s": 0.0, "arrived_s": 0.0})
    from encserve_server.steps.tokenize.step import Asked

    job = step._job(Asked(call, [["abc", "\u00fc\u4e2d"], ["\U0001f600"]], {"lane": "bulk"}))
    assert (job.texts, job.size) == (3, 3 + 2 + 3 + 4)


def test_the_queue_counts_bytes(triton, step, encoder):
    full(encoder, step)
    step._turns._limits = type(step._turns._limits)(max_queued_texts=100, max_queued_bytes=12)
    waiting = [request_of(triton, "\u4e2d\u4e2d\u4e2d") for _ in range(2)]  # 9 bytes each
    assert step.execute(waiting[:1]) == [None]
    (refused,) = step.execute(waiting[1:])
    assert "holds 9 bytes of text and this request 9; max_queued_bytes is 12" in refused.error.message
    encoder.has(0)
    ids_of(answer_of(waiting[0]))


def test_who_waits_is_answered_in_turn(triton, step, encoder):
    full(encoder, step)
    request = request_of(triton, "a")
    assert step.execute([request]) == [None]
    encoder.has(0)
    assert ids_of(answer_of(request)) == [[1]]


BROKEN = {
    "a counter of late requests": lambda step: setattr(step._late, "add", fail),
    "a counter of times": lambda step: setattr(step._times, "add", fail),
    "a tokenizer": lambda step: setattr(step._tokenization, "tokenize", fail),
    "the requests that were sent": lambda step: setattr(step, "_sent", Sent()),
    "its own page": lambda step: setattr(step._turns, "_tell", once(step._turns._tell)),
    "the page of the encode step": lambda step: setattr(step._turns, "_load", once(step._turns._load)),
}


class Sent:
    """Cannot count, but can be closed."""

    def let_on(self, lane, tokens):
        raise MemoryError

    def close(self):
        pass


def fail(*given, **named):
    raise MemoryError("for a text that nobody may see")


def once(genuine):
    """Fails at the first call."""
    calls = []

    def failing(*given):
        calls.append(given)
        if len(calls) == 1:
            raise OSError(28, "No space left on device")
        return genuine(*given)

    return failing


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_every_caller_is_answered_whatever_breaks_in_the_thread_of_turns(broken, triton, step, encoder):
    full(encoder, step)
    late = request_of(triton, "a", timeout_us=500_000_000)
    waiting = [late, *(request_of(triton, "a") for _ in range(3))]
    assert step.execute(waiting) == [None] * 4
    broken(step)
    step._turns._clock = lambda: time.monotonic() + 1_000
    encoder.has(0)
    for request in waiting:
        answer_of(request)
    assert "nobody may see" not in " ".join(triton.logged)
    assert sum(step._failures._errors._counts.values()) >= 1
    for counter in (step._late, step._times):
        counter.__dict__.pop("add", None)
    step._tokenization.__dict__.pop("tokenize", None)
    step._sent = None
    full(encoder, step)
    again = request_of(triton, "b")
    assert step.execute([again]) == [None]
    encoder.has(0)
    assert ids_of(answer_of(again)) == [[2]], "the thread goes on"


@pytest.mark.parametrize("part", ["_admit", "_go_on"])
def test_every_caller_is_answered_whatever_breaks_at_the_door(part, triton, step, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(step, part, fail)
        answers = step.execute([request_of(triton, "a"), request_of(triton, "b")])
    assert [each.error.message for each in answers] == [
        "minilm_tokenize failed (MemoryError); the server's log says where"
    ] * 2
    assert [each.error.code for each in answers] == ["internal"] * 2
    (good,) = step.execute([request_of(triton, "b")])
    assert ids_of(good) == [[2]]


def test_markers_that_fail_leave_no_request_in_the_room_of_the_encode_step(triton):
    from encserve_server.steps.tokenize.door.sent_requests import SentRequests

    marks, reported = [MemoryError(), Marked.COMPUTED], []

    def mark():
        marked = marks.pop(0)
        if isinstance(marked, Exception):
            raise marked
        return marked

    sent = SentRequests(mark, report=lambda where, error: reported.append((where, type(error))))
    sent.start()
    for _ in range(2):
        sent.hand_over([sent.let_on("interactive", 5_000)])
        deadline_s = time.monotonic() + 60
        while sent.load("interactive").tokens:
            assert time.monotonic() < deadline_s
            time.sleep(0.001)
    assert (marks, reported) == ([], [("markers", MemoryError)])
    sent.close()


NO_ROOM = RuntimeError("Failed to increase the shared memory pool size for key 'encserve_1_x' to 8 bytes.")
REFUSED = RuntimeError("the response was refused by Triton")


@pytest.mark.parametrize(("error", "ends"), [(NO_ROOM, True), (MemoryError(), True), (REFUSED, False)], ids=repr)
def test_an_answer_that_does_not_reach_triton_ends_the_process(error, ends, triton, step, encoder, monkeypatch):
    """Triton takes no second one, so that its caller would wait for ever."""
    from encserve_server.steps.request import call

    ended, sent = [], []

    def send(response, flags):
        sent.append(response)
        raise error

    monkeypatch.setattr(call, "end_process", lambda: ended.append(True))
    full(encoder, step)
    request = request_of(triton, "a")
    request.get_response_sender = lambda: SimpleNamespace(send=send)
    assert step.execute([request]) == [None]
    encoder.has(0)
    deadline_s = time.monotonic() + 60
    while not counted(step._failures._errors, where="answer"):
        assert time.monotonic() < deadline_s
        time.sleep(0.001)
    waiting = request_of(triton, "b")
    full(encoder, step)
    assert step.execute([waiting]) == [None]
    encoder.has(0)
    assert ids_of(answer_of(waiting)) == [[2]], "the thread goes on"
    assert (len(sent), bool(ended)) == (1, ends)


def test_a_question_of_health_waits_for_nobody_and_no_other_is_one(triton, step, encoder):
    from encserve_server.steps.request.health import HealthQuestions

    full(encoder, step)
    step._health = HealthQuestions({"ENCSERVE_HEALTH_TOKEN": "secret"})
    (asked,) = step.execute([request_of(triton, "a", parameters={"health": "secret"})])
    assert ids_of(asked) == [[1]]
    pretended = request_of(triton, "a", parameters={"health": "guessed"})
    assert step.execute([pretended]) == [None], "it waits like others"
    encoder.has(0)
    assert ids_of(answer_of(pretended)) == [[1]]


@pytest.mark.parametrize("value", ["many", "-1", "0", "1.5"])
def test_a_setting_of_the_operator_that_is_no_number_is_named(value, triton, monkeypatch):
    from encserve_server.steps.tokenize.step import queue_limits

    monkeypatch.setenv("ENCSERVE_MAX_QUEUED_TEXTS", value)
    with pytest.raises(
        ValueError, match=f"ENCSERVE_MAX_QUEUED_TEXTS is '{value}', expected a number of texts, 1 or more"
    ):
        queue_limits(SETTINGS)
