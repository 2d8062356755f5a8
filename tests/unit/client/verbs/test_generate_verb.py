"""`generate` and `generate_stream`, which ask for new texts."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from encserve import (
    AsyncClient,
    Candidate,
    Client,
    ContractError,
    InferenceFailed,
    InvalidInput,
    ModelNotFound,
    Retry,
    Unavailable,
)
from encserve.testing import AsyncFakeTransport, FakeTransport, fake_pipeline

TEXTS = fake_pipeline(task="text2text-generation", prompt_names=("de",), option_defaults={"max_new_tokens": 20})
QUICK = Retry(initial_s=0.001, maximum_s=0.001)


def said(texts, finishes=None, order=None):
    """What the server says of a request: the texts, in some order."""
    order = range(len(texts)) if order is None else order
    counts = np.array([[len(texts[index]) for index in order]], np.int32)
    return {
        "text_output": [texts[index].encode() for index in order],
        "index": np.array([list(order)], np.int32),
        "finish": [(finishes or ["eos"] * len(texts))[index].encode() for index in order],
        "output_token_count": counts,
        "token_count": counts,
        "dropped_count": np.zeros_like(counts),
    }


def upper(request):
    return said([text.decode().upper() for text in request.inputs["text"]])


def test_generate(ask):
    options = {"max_new_tokens": 5, "do_sample": True, "temperature": 1, "top_k": 0, "top_p": 0.5, "seed": 0}
    result, requests = ask(TEXTS, upper, "generate", ["a", "bc", "d"], prompt_name="de", **options)
    assert (result.texts, result.finishes) == (["A", "BC", "D"], ["eos"] * 3)
    assert result.output_token_counts.tolist() == [1, 2, 1]
    assert [len(request.inputs["text"]) for request in requests] == [2, 1]
    sent = {**options, "temperature": "1.0", "top_p": "0.5", "prompt_name": "de"}
    assert [dict(request.parameters) for request in requests] == [sent, sent]
    assert {request.model for request in requests} == {"fake"}


def test_beams_and_languages_are_sent(ask):
    options = {"num_beams": 4, "early_stopping": "never", "no_repeat_ngram_size": 0, "target_language": "deu_Latn"}
    _, requests = ask(TEXTS, upper, "generate", ["a"], length_penalty=-1, **options)
    assert dict(requests[0].parameters) == {**options, "length_penalty": "-1.0"}


def test_texts_come_in_the_order_of_the_call(ask):
    result, _ = ask(TEXTS, lambda request: said(["x", "yy"], ["eos", "length"], order=[1, 0]), "generate", ["a", "b"])
    assert (result.texts, result.finishes) == (["x", "yy"], ["eos", "length"])
    assert result.output_token_counts.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ({"temperature": "hot"}, "temperature is 'hot', expected a finite number"),
        ({"top_p": float("nan")}, "top_p is nan, expected a finite number"),
        ({"do_sample": 1}, "do_sample is 1, expected a bool"),
        ({"early_stopping": True}, "early_stopping is True, expected one of 'true', 'false', 'never'"),
        ({"min_new_tokens": -1}, "min_new_tokens is -1, expected an int of 0 or more"),
    ],
)
def test_impossible_options_are_refused_before_anything_is_sent(ask, option, complaint):
    with pytest.raises(InvalidInput, match=complaint):
        ask(TEXTS, upper, "generate", ["a"], **option)


def test_another_task_is_refused(ask):
    with pytest.raises(InvalidInput, match="is for feature-extraction, generate needs text2text-generation"):
        ask(fake_pipeline(), upper, "generate", ["a"])


def pieces(*texts, finish="eos"):
    """The responses of a stream: each piece, the last with why the text ended."""
    finishes = [*([""] * (len(texts) - 1)), finish]
    return [said([text], [end]) for text, end in zip(texts, finishes, strict=True)]


class Streams:
    """Both clients, whose streams are read on."""

    def __init__(self, awaited, function, pipelines=(TEXTS,)):
        fake = AsyncFakeTransport if awaited else FakeTransport
        self.transport = fake(function, pipelines=pipelines)
        self.client = (AsyncClient if awaited else Client)(transport=self.transport, retry=QUICK)
        self.awaited = awaited

    def read(self, most=None, **options):
        """The stream after its pieces were taken, `most` of them, and closed; and the pieces."""
        stream = self.client.generate_stream("a text", model="fake", **options)
        taken = []
        if self.awaited:
            asyncio.run(self._read(stream, taken, most))
            return stream, taken
        with stream:
            for piece in stream:
                taken.append(piece)
                if len(taken) == most:
                    break
        return stream, taken

    @staticmethod
    async def _read(stream, taken, most):
        async with stream:
            async for piece in stream:
                taken.append(piece)
                if len(taken) == most:
                    break


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def streams(request):
    """streams(function): a client whose server answers with what the function returns."""
    return lambda function, **about: Streams(request.param, function, **about)


def test_a_stream_has_the_pieces_and_in_the_end_the_text(streams):
    requests = []

    def answer(request):
        requests.append(request)
        return pieces("a ", "new", " text", finish="length")

    asked = streams(answer)
    stream, taken = asked.read(max_new_tokens=3)
    assert taken == ["a ", "new", " text"]
    assert (stream.text, stream.finish) == ("a new text", "length")
    assert (stream.last.model, stream.last.version, stream.last.certificate) == ("fake", "1", TEXTS.certificate)
    (request,) = requests
    assert (request.model, request.model_version) == ("fake_generate", "1")
    assert dict(request.parameters) == {"max_new_tokens": 3, "stream": True}
    assert not asked.transport.given_up


def test_a_stream_that_is_left_is_cancelled(streams):
    asked = streams(lambda request: pieces("a", "b", "c"))
    stream, taken = asked.read(most=1)
    assert (taken, stream.text, stream.finish) == (["a"], "a", "")
    assert len(asked.transport.given_up) == 1


def test_what_fails_before_the_first_piece_is_tried_again(streams):
    failures = [Unavailable("down"), Unavailable("down")]

    def answer(request):
        if failures:
            raise failures.pop()
        return pieces("a", "b")

    assert streams(answer).read()[1] == ["a", "b"]


def test_a_version_that_is_gone_is_asked_for_anew_once(streams):
    asked = []

    def answer(request):
        asked.append(request.model_version)
        raise ModelNotFound("not at ready state")

    with pytest.raises(ModelNotFound, match="not at ready state"):
        streams(answer).read()
    assert asked == ["1", "1"]


def test_a_candidate_that_is_gone_fails_no_stream(streams):
    asked = []

    def answer(request):
        asked.append(request.model_version)
        return pieces("a", "b")

    candidate = replace(TEXTS, name="fake_candidate", version="2")
    with_candidate = replace(TEXTS, candidate=Candidate(version="2", share=1.0))
    client = streams(answer, pipelines=[with_candidate, candidate])  # whose step fake_generate has no version 2
    for _ in range(2):
        assert client.read(caller="me")[1] == ["a", "b"]
    assert asked == ["1", "1"]
    with pytest.raises(ModelNotFound):
        client.read(version="candidate")


@pytest.mark.parametrize("error", [Unavailable("down"), InferenceFailed("NaN")])
def test_nothing_is_tried_again_after_the_first_piece(streams, monkeypatch, error):
    asked = []

    def answer(request):
        asked.append(request)
        return pieces("a", "b")

    client = streams(answer)
    kind = type(client.transport)
    opened = kind.stream

    def breaks(stream):
        take = stream.take
        left = [take()]

        def taken():
            if left:
                return left.pop()
            raise error

        stream.take = taken
        return stream

    if client.awaited:

        async def stream(self, request, *, timeout_s):
            return breaks(await opened(self, request, timeout_s=timeout_s))

    else:

        def stream(self, request, *, timeout_s):
            return breaks(opened(self, request, timeout_s=timeout_s))

    monkeypatch.setattr(kind, "stream", stream)
    with pytest.raises(type(error)):
        client.read()
    assert len(asked) == 1


def test_a_stream_without_a_response_breaks_the_contract(streams):
    with pytest.raises(ContractError, match="the server sent no response"):
        streams(lambda request: []).read()


def test_a_stream_that_ends_before_its_text_has_is_no_whole_text(streams):
    with pytest.raises(ContractError, match="ended the stream before the text"):
        streams(lambda request: pieces("a", "b", finish="")).read()
