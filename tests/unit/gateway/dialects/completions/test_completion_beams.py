"""Beams of OpenAI's completions, as transformers and as vLLM ask for them."""

import pytest
from unit.gateway.asgi import post
from unit.gateway.dialects.completions.completing import PATH, completed
from unit.gateway.pipelines import GENERATE

from encserve.testing import fake_pipeline

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
