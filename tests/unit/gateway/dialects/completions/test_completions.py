"""OpenAI's completions, whole and as they are made, with the package `openai` and without."""

import pytest
from unit.gateway.dialects.completions.completing import PATH, completed, events_of, refused
from unit.gateway.pipelines import GENERATE

from encserve.testing import fake_pipeline
from encserve_gateway.aliases import Alias
from encserve_gateway.dialects.completions import ONLY

STRICT = (Alias(name="strict", pipeline="generate", truncate="error"),)


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
