"""OpenAI's completions, whole and as they are made, with the package `openai` and without."""

import asyncio
import json
import threading
import time

import httpx
import openai
import pytest
from unit.gateway.asgi import JSON, post, scope
from unit.gateway.listening import listening
from unit.gateway.pipelines import GENERATE, Fake, answer, pieces_of

from encserve import InferenceFailed, Overloaded
from encserve.testing import fake_pipeline
from encserve_gateway.aliases import Alias
from encserve_gateway.dialects.completions import ONLY

PATH = "/v1/completions"
STRICT = (Alias(name="strict", pipeline="generate", truncate="error"),)


def events_of(answered):
    """The events of an answer, each read, and what stands behind the last."""
    *events, rest = answered.body.decode().split("\n\n")
    said = [event.removeprefix("data: ") for event in events]
    return [json.loads(each) if each != "[DONE]" else each for each in said], rest


async def completed(fake, **fields):
    answered = await post(fake.gateway, PATH, {"model": "generate", "prompt": "a b c"} | fields)
    assert answered.status == 200, answered.body
    return answered


async def refused(fake, status, **fields):
    answered = await post(fake.gateway, PATH, {"model": "generate", "prompt": "a b c"} | fields)
    assert answered.status == status, answered.body
    return answered.json["error"]


async def test_a_text(fake):
    answered = await completed(fake())
    assert answered.json | {"id": "", "created": 0} == {
        "id": "",
        "object": "text_completion",
        "created": 0,
        "model": "generate",
        "choices": [{"text": "A B C", "index": 0, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9},
    }
    assert answered.headers["encserve-token-count"] == "5"


async def test_several_texts_and_the_length(fake):
    answered = await completed(fake(), prompt=["a", "b c"], max_tokens=1)
    assert [(choice["index"], choice["text"]) for choice in answered.json["choices"]] == [(0, "A"), (1, "B")]
    assert {choice["finish_reason"] for choice in answered.json["choices"]} == {"length"}


async def test_the_first_model_of_the_task_answers_who_names_none(fake):
    assert (await completed(fake(), model=None)).json["model"] == "generate"


async def test_as_it_is_made(fake):
    gateway = fake()
    answered = await completed(gateway, stream=True)
    (*events, done), rest = events_of(answered)
    assert (done, rest) == ("[DONE]", "")
    assert "".join(event["choices"][0]["text"] for event in events) == "A B C"
    assert [event["choices"][0]["finish_reason"] for event in events] == [None, None, None, "stop"]
    assert len({event["id"] for event in events}) == 1
    assert not [event for event in events if "usage" in event]
    assert answered.headers["content-type"].startswith("text/event-stream")
    assert "content-length" not in answered.headers
    assert (answered.headers["encserve-model"], answered.headers["encserve-token-count"]) == ("generate", "5")
    labels = {"route": PATH, "dialect": "completions", "model": "generate"}
    assert gateway.number("requests_total", **labels, code="200") == 1
    assert (gateway.number("texts_total", model="generate"), gateway.number("tokens_total", model="generate")) == (1, 5)
    assert gateway.number("response_bytes_sum") == len(answered.body)
    assert gateway.number("in_flight_requests") == 0


async def test_the_usage_of_a_stream_comes_last(fake):
    answered = await completed(fake(), stream=True, stream_options={"include_usage": True})
    (*events, last, _), _ = events_of(answered)
    assert (last["choices"], last["usage"]["completion_tokens"], last["usage"]["total_tokens"]) == ([], 4, 9)
    assert [event["usage"] for event in events] == [None] * 4


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, {"do_sample": False}),
        ({"temperature": 0, "top_p": 0.5, "top_k": 3, "seed": 4}, {"do_sample": False}),
        ({"seed": 4, "top_p": 1}, {"do_sample": False}),
        ({"temperature": 0.7, "seed": 4}, {"do_sample": True, "temperature": "0.7", "seed": 4}),
        ({"top_p": 0.5}, {"do_sample": True, "top_p": "0.5"}),
        ({"temperature": 1, "top_k": -1}, {"do_sample": True, "temperature": "1.0", "top_k": 0}),
        ({"stop": "x"}, {"do_sample": False, "stop": '["x"]'}),
        ({"stop": ["x", "é"]}, {"do_sample": False, "stop": '["x", "\\u00e9"]'}),
        (
            {"stop": [], "max_tokens": 5, "min_tokens": 2},
            {"do_sample": False, "max_new_tokens": 5, "min_new_tokens": 2},
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("stream", [False, True])
async def test_how_tokens_are_chosen(fake, fields, options, stream):
    gateway = fake()
    await completed(gateway, stream=stream, **fields)
    assert gateway.requests[-1].parameters == options | ({"stream": True} if stream else {})


async def test_a_checkpoint_that_draws_does_it_here_too(fake):
    drawing = fake_pipeline(name="generate", task=GENERATE.task, max_length=8, option_defaults={"do_sample": True})
    gateway = fake(pipelines=(drawing,))
    await completed(gateway, seed=3)
    assert gateway.requests[-1].parameters == {"do_sample": True, "seed": 3}


BEAMS = fake_pipeline(name="generate", task=GENERATE.task, max_length=8, option_defaults={"num_beams": 4})
"""A model whose checkpoint asks for four beams."""


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({"num_beams": 3, "length_penalty": 0.5, "early_stopping": True}, (3, "0.5", "true")),
        ({"use_beam_search": True, "best_of": 3, "early_stopping": "never"}, (3, None, "never")),
        ({"use_beam_search": True}, (4, None, None)),
        ({"best_of": 1}, (None, None, None)),
        ({"use_beam_search": False}, (1, None, None)),
        ({"num_beams": 1, "use_beam_search": False}, (1, None, None)),
        ({"num_beams": 1, "stream": True}, (1, None, None)),
        ({"use_beam_search": False, "stream": True}, (1, None, None)),
        ({"num_beams": 1, "length_penalty": 0.5, "early_stopping": True}, (1, None, None)),
        ({"length_penalty": 0.5, "early_stopping": True}, (None, "0.5", "true")),
    ],
    ids=str,
)
async def test_beams_are_asked_for_as_transformers_and_as_vllm_do(fake, fields, sent):
    gateway = fake(pipelines=(BEAMS,))
    await completed(gateway, **fields)
    asked = gateway.requests[-1].parameters
    assert tuple(asked.get(name) for name in ("num_beams", "length_penalty", "early_stopping")) == sent


VLLM = {"best_of": 1, "use_beam_search": False, "length_penalty": 1.0, "early_stopping": False}
"""What its clients send of beams who ask for none."""


async def test_what_vllm_says_of_beams_where_there_are_none_changes_nothing(fake):
    gateway = fake()
    await completed(gateway, **VLLM)
    assert not {"num_beams", "length_penalty", "early_stopping"} & gateway.requests[-1].parameters.keys()


async def test_no_beams_are_asked_of_a_model_that_has_none(fake):
    gateway = fake()
    await completed(gateway, use_beam_search=False, repetition_penalty=1.5, no_repeat_ngram_size=2)
    asked = gateway.requests[-1].parameters
    assert "num_beams" not in asked
    assert (asked["repetition_penalty"], asked["no_repeat_ngram_size"]) == ("1.5", 2)


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"stream": True}, "stream", "is true, and a text of 4 beams has no pieces: give num_beams 1"),
        ({"stream": True, "num_beams": 2}, "stream", "of 2 beams"),
        ({"best_of": 3}, "best_of", "must be 1 here, unless use_beam_search is true"),
        ({"best_of": 3, "num_beams": 2, "use_beam_search": True}, "best_of", "is 3, and num_beams is 2"),
        ({"num_beams": 2, "use_beam_search": False}, "use_beam_search", "is false, and num_beams is 2"),
        ({"use_beam_search": True, "best_of": 1}, "use_beam_search", "2 or more"),
        ({"num_beams": 0}, "num_beams", "is 0, expected 1 or more"),
        ({"early_stopping": "what a caller wrote"}, "early_stopping", "is not one of true, false and never"),
        ({"early_stopping": 1}, "early_stopping", "is not one of true, false and never"),
    ],
    ids=str,
)
async def test_beams_that_cannot_be_are_refused_by_name(fake, fields, param, words):
    answered = await post(fake(pipelines=(BEAMS,)).gateway, PATH, {"model": "generate", "prompt": "a b c"} | fields)
    error = answered.json["error"]
    assert (answered.status, error["param"]) == (400, param)
    assert words in error["message"]


@pytest.mark.parametrize("name", ONLY)
async def test_what_is_not_offered_is_refused_by_name(fake, name):
    await completed(fake(), **{name: ONLY[name]})
    for wrong in (3, True, "what a caller wrote", {"9": 1}):
        error = await refused(fake(), 400, **{name: wrong})
        assert error["param"] == name
        assert "caller" not in error["message"]


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"prompt": None}, "prompt", "is missing"),
        ({"prompt": []}, "prompt", "cannot be empty"),
        ({"prompt": [[1, 2]]}, "prompt", "ids of tokens"),
        ({"prompt": [1, 2]}, "prompt", "ids of tokens"),
        ({"prompt": {}}, "prompt", "is an object, expected a text"),
        ({"prompt": ["a", "b"], "stream": True}, "prompt", "has 2 items, and a stream is of one"),
        ({"n": 2}, "n", "is 2; it must be 1 here"),
        ({"logprobs": 0}, "logprobs", "is 0; it is not offered"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "stream is not true"),
        ({"max_tokens": 0}, "max_tokens", "is 0, expected 1 or more"),
        ({"temperature": -1}, "temperature", "expected 0 or more"),
        ({"stop": ["a"] * 17}, "stop", "has 17 items"),
        ({"seed": -1}, "seed", "expected 0 or more"),
        ({"model": "embed"}, "model", "does feature-extraction"),
    ],
    ids=str,
)
async def test_what_is_wrong_is_refused_by_name(fake, fields, param, words):
    error = await refused(fake(), 400, **fields)
    assert error["param"] == param
    assert words in error["message"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_text_that_is_too_long_is_cut_or_refused_as_the_name_has_it(fake, stream):
    long = " ".join("abcdefghij")
    assert (await completed(fake(), prompt=long, stream=stream)).headers["encserve-dropped-count"] == "4"
    gateway = fake(aliases=STRICT)
    error = await refused(gateway, 400, model="strict", prompt=long, stream=stream)
    assert error["code"] == "context_length_exceeded"
    assert gateway.number("in_flight_requests") == 0


@pytest.mark.parametrize(("error", "status"), [(Overloaded, 503), (InferenceFailed, 500)])
@pytest.mark.parametrize("stream", [False, True])
async def test_what_fails_before_the_first_piece_has_its_status(fake, error, status, stream):
    def fails(request):
        raise error("a reason")

    said = await refused(fake(fails, timeout_s=0.1), status, stream=stream)
    assert said["type"] == "server_error"


class Breaks:
    """A pipeline whose stream says one piece, and then what `then` does."""

    def __init__(self, monkeypatch, then):
        async def received(stream):
            return stream.take() if len(stream._left) > 1 else await then()

        monkeypatch.setattr("encserve.testing._AsyncFakeStream.next", received)
        counts = {"token_count": [[5]], "dropped_count": [[0]]}
        import numpy as np

        told = {name: np.array(value, np.int32) for name, value in counts.items()}
        self.parts = [pieces_of(["one"], [""], [1]) | told, pieces_of([""], ["eos"], [2]) | told]

    def __call__(self, request):
        return self.parts


async def test_what_fails_later_is_the_last_event(fake, monkeypatch, caplog):
    async def fails():
        raise InferenceFailed("with a text of a caller")

    gateway = fake(Breaks(monkeypatch, fails))
    answered = await completed(gateway, stream=True)
    (first, last), rest = events_of(answered)
    assert (first["choices"][0]["text"], rest) == ("one", "")
    assert last["error"]["message"] == "the model 'generate' failed on this request"
    labels = {"route": PATH, "dialect": "completions", "model": "generate"}
    assert gateway.number("requests_total", **labels, code="500") == 1
    assert gateway.number("refused_requests_total", reason="failed") == 1


async def test_a_fault_of_ours_in_a_stream_is_told_without_its_words(fake, monkeypatch, caplog):
    async def fails():
        raise KeyError("with a text of a caller")

    answered = await completed(fake(Breaks(monkeypatch, fails)), stream=True)
    (_, last), _ = events_of(answered)
    assert last["error"]["message"] == "the gateway failed on this request; the fault is its own"
    assert "KeyError at" in caplog.text
    assert "text of a caller" not in caplog.text


async def test_a_text_whose_time_is_up_ends_with_an_error(fake):
    def late(request):
        parts = answer(request)
        parts[-1] |= pieces_of([""], ["deadline"], [4])
        return parts

    answered = await completed(fake(late), stream=True)
    (*_, before, last), _ = events_of(answered)
    assert before["choices"][0]["finish_reason"] is None
    assert "ended by its time" in last["error"]["message"]


async def test_who_goes_away_between_two_pieces_frees_the_place(fake, monkeypatch):
    waits = asyncio.Event()

    async def never():
        waits.set()
        await asyncio.Event().wait()

    gateway = fake(Breaks(monkeypatch, never))
    received = asyncio.Queue()
    body = json.dumps({"model": "generate", "prompt": "a", "stream": True}).encode()
    received.put_nowait({"type": "http.request", "body": body, "more_body": False})
    sent = []

    async def send(message):
        sent.append(message)

    asked = asyncio.create_task(gateway.gateway(scope("POST", PATH, JSON), received.get, send))
    await asyncio.wait_for(waits.wait(), 20)
    assert b"one" in sent[1]["body"]  # while the next is waited for
    received.put_nowait({"type": "http.disconnect"})
    await asyncio.wait_for(asked, 20)
    (given_up,) = gateway.transport.given_up
    assert given_up.parameters["stream"] is True
    assert gateway.number("left_requests_total") == 1
    assert gateway.number("in_flight_requests") == 0


@pytest.fixture(scope="module")
def address():
    def function(request):
        if request.inputs["text"][0] == b"full":
            raise Overloaded("a reason")
        return answer(request)

    with listening(Fake(function, timeout_s=0.2).gateway) as port:
        yield f"http://127.0.0.1:{port}/v1"


@pytest.fixture
def client(address):
    with openai.OpenAI(base_url=address, api_key="unused", max_retries=0) as connected:
        yield connected


def test_the_package_openai(client):
    whole = client.completions.create(model="generate", prompt="a b c", temperature=0, seed=1, stop=["."], max_tokens=5)
    assert (whole.choices[0].text, whole.choices[0].finish_reason, whole.usage.completion_tokens) == (
        "A B C",
        "stop",
        4,
    )
    with client.completions.create(
        model="generate", prompt="a b c", stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].text for chunk in chunks[:-1]) == "A B C"
    assert chunks[-1].usage.total_tokens == 9


def test_its_errors(client):
    for wrong, error in ({"n": 2}, openai.BadRequestError), ({"model": "nobody"}, openai.NotFoundError):
        for stream in (False, True):
            with pytest.raises(error):
                client.completions.create(**{"model": "generate", "prompt": "a", "stream": stream} | wrong)
    with pytest.raises(openai.InternalServerError) as full:
        client.completions.create(model="generate", prompt="full", stream=True)
    assert (full.value.status_code, full.value.response.headers["retry-after"]) == (503, "1")


def test_a_stream_that_breaks_is_an_error_of_the_package(monkeypatch):
    async def fails():
        raise InferenceFailed("a reason")

    with listening(Fake(Breaks(monkeypatch, fails)).gateway) as port:
        address = f"http://127.0.0.1:{port}/v1"
        with openai.OpenAI(base_url=address, api_key="unused", max_retries=0) as client:
            stream = client.completions.create(model="generate", prompt="a", stream=True)
            assert next(stream).choices[0].text == "one"
            with pytest.raises(openai.APIError, match="failed on this request"):
                next(stream)


def test_who_hangs_up_frees_the_place(monkeypatch):
    async def never():
        await asyncio.Event().wait()

    fake = Fake(Breaks(monkeypatch, never), timeout_s=60)
    with listening(fake.gateway) as port:
        body = {"model": "generate", "prompt": "a", "stream": True}
        with httpx.stream("POST", f"http://127.0.0.1:{port}{PATH}", json=body) as response:
            assert b"one" in next(response.iter_raw())
        until_s = time.monotonic() + 20
        while not fake.transport.given_up and time.monotonic() < until_s:
            threading.Event().wait(0.01)
        assert fake.transport.given_up
        assert fake.number("in_flight_requests") == 0
