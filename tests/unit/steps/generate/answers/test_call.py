"""One request to generate, while the engine's thread goes on with its texts as another sends what is new."""

from types import SimpleNamespace

import pytest

from encserve_server.steps.generate.texts.text import CANCELLED, DEADLINE, EOS


class Text:
    """What a call sees of a text on its way."""

    def __init__(self):
        self.tokens, self.finish, self.error, self.given_up, self.token_s = [], "", None, False, None

    @property
    def ended(self):
        return bool(self.finish) or self.error is not None


@pytest.fixture
def ask(triton):
    """ask(texts, streamed): a call about so many texts, which sends what it is told at once."""
    from encserve_server.steps.generate.answers.call import GenerateCall

    def asked(texts, *, streamed, announce=lambda call: None, holds=lambda: False, **counts):
        request = triton.Request()
        failures = SimpleNamespace(report=lambda *_: None, in_words=lambda error: type(error).__name__)
        call = GenerateCall(request, failures)
        call.expect([Text() for _ in range(texts)], counts, streamed=streamed, announce=announce, holds=holds)
        return call, request.answers

    return asked


def pieces_of(answers):
    return [
        (answer.tensors["text_output"][0].tolist(), answer.tensors["finish"][0].tolist(), answer.is_last)
        for answer in answers
    ]


def test_a_text_has_not_ended_for_its_caller_before_its_last_piece_was_told(ask):
    call, answers = ask(1, streamed=True)
    (text,) = call.texts
    text.tokens = [1]
    call.told(text, "one ")
    text.tokens, text.finish = [1, 2], EOS  # the engine's thread decodes the last piece right now
    call.send()
    call.told(text, "two")
    call.send()
    assert pieces_of(answers) == [([b"one "], [b""], False), ([b"two"], [b"eos"], True)]
    assert [answer.tensors["output_token_count"].tolist() for answer in answers] == [[[1]], [[2]]]


@pytest.fixture
def clock(triton, monkeypatch):
    """The virtual seconds of calls."""
    from encserve_server.steps.generate.answers import call

    made = SimpleNamespace(now_s=0.0)
    monkeypatch.setattr(call, "time", SimpleNamespace(monotonic=lambda: made.now_s))
    return made


def make(clock, call, *pieces, round_s):
    """Tell what is new of the one text of a call, in rounds that take so long."""
    (text,) = call.texts
    for piece in pieces:
        clock.now_s += round_s
        text.tokens.append(1)
        call.told(text, piece)
        text.token_s = clock.now_s


def test_every_second_piece_goes_with_the_next_while_many_are_streamed(ask, clock):
    many = [True]
    call, answers = ask(1, streamed=True, announce=lambda call: call.send(), holds=lambda: many[0])
    make(clock, call, "a", "b", "c", "d", "e", "f", round_s=0.02)
    many[0] = False
    make(clock, call, "g", "h", round_s=0.02)
    many[0] = True
    make(clock, call, "i", round_s=0.02)
    call.texts[0].finish = EOS
    make(clock, call, "j", round_s=0.02)
    pieces = [pieces for pieces, _, _ in pieces_of(answers)]
    assert pieces == [[b"a"], [b"bc"], [b"de"], [b"fg"], [b"h"], [b"ij"]]
    assert [answer.tensors["output_token_count"].item() for answer in answers] == [1, 3, 5, 7, 8, 10]
    assert answers[-1].is_last


def test_where_rounds_take_long_no_piece_waits_for_the_next(ask, clock):
    call, answers = ask(1, streamed=True, announce=lambda call: call.send(), holds=lambda: True)
    make(clock, call, "a", "b", "c", "d", round_s=0.15)
    assert [pieces for pieces, _, _ in pieces_of(answers)] == [[b"a"], [b"b"], [b"c"], [b"d"]]


def test_a_piece_that_waits_for_the_next_does_not_wait_long(ask, clock):
    """Tokens may come that are no piece: the first bytes of a character."""
    call, answers = ask(1, streamed=True, announce=lambda call: call.send(), holds=lambda: True)
    make(clock, call, "a", round_s=0.02)
    assert not call.has_held(0)
    make(clock, call, "b", round_s=0.02)
    clock.now_s += 0.06
    assert call.has_held(0.05)
    assert not call.has_held(0.07)
    call.send()
    assert not call.has_held(0)
    assert len(answers) == 2


def test_a_whole_answer_has_all_its_texts_in_order(ask):
    call, answers = ask(2, streamed=False)
    for text, pieces in zip(reversed(call.texts), (["b"], ["a", "a"]), strict=True):
        for piece in pieces:
            call.told(text, piece)
        text.finish = EOS
        call.told(text, "!")
        call.send()
    assert pieces_of(answers) == [([b"aa!", b"b!"], [b"eos", b"eos"], True)]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_text_whose_time_is_up_before_its_first_token_may_be_asked_for_again(ask, streamed):
    call, answers = ask(1, streamed=streamed)
    (text,) = call.texts
    text.finish = DEADLINE
    call.told(text, "")
    call.send()
    assert answers[-1].is_last
    assert answers[-1].error.message.startswith("UNAVAILABLE: the request was cancelled, or its timeout passed")


def test_a_stream_that_has_begun_ends_with_its_time(ask):
    call, answers = ask(2, streamed=True)
    for text, tokens in zip(call.texts, ([1], []), strict=True):
        text.tokens, text.finish = tokens, DEADLINE
        call.told(text, "one" if tokens else "")
    call.send()
    assert pieces_of(answers) == [([b"one", b""], [b"deadline", b"deadline"], True)]
    assert call.outcome == "late"  # which the alerts look for


def test_where_one_text_fails_nothing_more_is_made_of_the_others(ask):
    call, answers = ask(2, streamed=True)
    first, second = call.texts
    first.error = RuntimeError()
    call.told(first, "")
    call.send()
    assert second.given_up
    assert not answers  # the one answer of a request that fails comes when all its texts have left the cache


def test_where_a_piece_cannot_be_sent_nothing_more_is_made_of_the_text(ask):
    call, answers = ask(1, streamed=True, token_count=None)
    (text,) = call.texts
    call.told(text, "one")
    call.send()
    assert answers[-1].error.message == "INTERNAL: TypeError"
    assert text.given_up
    text.finish = EOS
    call.told(text, "")
    call.send()
    assert call.is_over
    assert len(answers) == 1


@pytest.mark.parametrize(("cancelled", "told"), [(True, []), (False, ["INTERNAL: TritonModelException"])])
def test_a_piece_for_which_there_is_no_memory_is_no_cancellation(triton, ask, monkeypatch, cancelled, told):
    call, answers = ask(1, streamed=True)
    (text,) = call.texts

    def send(response, flags=0):
        if not flags:
            raise triton.TritonModelException("there is no room in shared memory")
        answers.append(response)

    monkeypatch.setattr(call._sender, "send", send)
    monkeypatch.setattr(call._request, "_cancelled", cancelled)
    call.told(text, "one")
    call.send()
    assert text.given_up
    assert [answer.error.message for answer in answers] == told


@pytest.mark.parametrize("finish", [DEADLINE, CANCELLED])
@pytest.mark.parametrize("streamed", [False, True])
def test_where_one_text_of_a_whole_answer_is_late_nothing_more_is_made_of_the_others(ask, finish, streamed):
    call, answers = ask(2, streamed=streamed)
    first, second = call.texts
    second.finish = finish
    call.told(second, "")
    assert first.given_up is not streamed
    first.finish = CANCELLED
    call.told(first, "")
    call.send()
    assert streamed or answers[-1].error.message.startswith("UNAVAILABLE: the request was cancelled, or its timeout")


def test_a_request_took_as_long_as_until_its_last_response_was_sent(triton, ask, clock, monkeypatch):
    sent, over = triton.Request._send, []

    def send(request, response, flags=0):
        clock.now_s += 2.0
        sent(request, response, flags)

    monkeypatch.setattr(triton.Request, "_send", send)
    call, _ = ask(1, streamed=False)
    call.arrived_s, call._over = 0.0, lambda call, outcome, took_s: over.append((outcome, took_s))
    call.texts[0].finish = EOS
    call.told(call.texts[0], "a")
    call.send()
    assert over == [("answered", 2.0)]
