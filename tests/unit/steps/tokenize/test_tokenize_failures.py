"""The shell of the tokenize step where something in it fails: its tokenizer, its counters, its pages, its memory."""

import time
from types import SimpleNamespace

import pytest
from tokenize_step import answer_of, counted, full, ids_of, request_of

from encserve_server.steps.tokenize.door.sent_requests import Marked


class Panic(BaseException):
    """As the Rust side of a tokenizer raises it."""


def break_tokenizer(step, *, at="panic"):
    genuine = step._tokenization.tokenize

    def tokenize(requests):
        if any(at in text for groups, _ in requests for group in groups for text in group):
            raise Panic("index out of range in `panic`")
        return genuine(requests)

    step._tokenization.tokenize = tokenize


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
    assert line.startswith(
        "minilm_tokenize: internal error in tokenizer of request '7': Panic at test_tokenize_failures.py"
    )
    assert "index out of range" not in line


BROKEN = {
    "a counter of late requests": lambda step: setattr(step._door.late, "add", fail),
    "a counter of times": lambda step: setattr(step._times, "add", fail),
    "a tokenizer": lambda step: setattr(step._tokenization, "tokenize", fail),
    "the requests that were sent": lambda step: setattr(step, "_sent", Sent()),
    "its own page": lambda step: setattr(step._queue, "_publish_load", once(step._queue._publish_load)),
    "the page of the encode step": lambda step: setattr(step._queue, "_load", once(step._queue._load)),
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
def test_every_caller_is_answered_whatever_breaks_in_the_thread_of_the_queue(broken, triton, step, encoder):
    full(encoder, step)
    late = request_of(triton, "a", timeout_us=500_000_000)
    waiting = [late, *(request_of(triton, "a") for _ in range(3))]
    assert step.execute(waiting) == [None] * 4
    broken(step)
    step._queue._clock = lambda: time.monotonic() + 1_000
    encoder.has(0)
    for request in waiting:
        answer_of(request)
    assert "nobody may see" not in " ".join(triton.logged)
    assert sum(step._failures._errors._counts.values()) >= 1
    for counter in (step._door.late, step._times):
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
