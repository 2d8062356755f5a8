"""OpenAI's completions: a prompt, and the text that a pipeline makes of it, whole or as it is made.

What differs from OpenAI: a request that says nothing of how tokens are chosen, or of how many there may be, has them as
the checkpoint has. A field that would change the text, and that pipelines do not have, is refused by name.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from encserve import AsyncClient, Generations
from encserve_gateway.bodies.fields import Fields
from encserve_gateway.bodies.search import beams_of, search_of
from encserve_gateway.bodies.truncation import truncation_of
from encserve_gateway.config import GatewayConfig
from encserve_gateway.dialects.openai import error_body, error_response
from encserve_gateway.exchange import Exchange
from encserve_gateway.http.body import json_type
from encserve_gateway.http.response import Response, json_response
from encserve_gateway.http.stream import Stream, event
from encserve_gateway.pipelines.upstream import Served
from encserve_gateway.questions import Question
from encserve_gateway.routes import Dialect, Route

TASK = "text2text-generation"

FINISHES = {"eos": "stop", "stop": "stop", "length": "length"}
"""Why a text ended -> OpenAI's word for it; null while it goes on."""

ONLY: Mapping[str, Any] = {
    "n": 1,
    "echo": False,
    "logprobs": None,
    "suffix": "",
    "logit_bias": {},
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "min_p": 0,
}
"""Fields of OpenAI and vLLM that would change the answer -> the one value that is taken."""

MOST_STOPS = 16
"""How many strings pipelines look for."""

DONE = b"data: [DONE]\n\n"
"""The event after the last."""


async def completions(exchange: Exchange) -> Response:
    """`POST /v1/completions`."""
    fields = exchange.fields
    prompts = read_prompts(fields, exchange.services.config)
    refuse_others(fields)
    is_streamed, with_usage = fields.flag("stream", False), wants_usage(fields)
    served = await exchange.model(TASK)
    options = read_options(fields, served)
    way = truncation_of(fields, max_length=served.pipeline.max_length)
    question = Question(exchange=exchange, served=served, field="prompt", truncate=way)
    if not is_streamed:
        answer = await question.ask(AsyncClient.generate, prompts, **options)
        choices = [_choice(text, index, answer.finishes[index]) for index, text in enumerate(answer.texts)]
        return json_response({**_frame(exchange, served), "choices": choices, "usage": _usage(answer)})
    if len(prompts) > 1:
        raise fields.wrong("prompt", f"has {len(prompts)} items, and a stream is of one")
    if (beams := options["num_beams"] or _default_beams(served)) > 1:
        raise fields.wrong("stream", f"is true, and a text of {beams} beams has no pieces: give num_beams 1")
    parts = question.generate_stream(prompts[0], **options)
    first = await anext(parts)  # until it is there a refusal has a status of its own
    events = _events(first, parts, _frame(exchange, served), with_usage=with_usage)
    return Stream(events=events, failed=lambda fault: event(error_body(fault)))


async def _events(
    first: Generations, parts: AsyncGenerator[Generations, None], frame: Mapping[str, Any], *, with_usage: bool
) -> AsyncGenerator[bytes, None]:
    usage = {"usage": None} if with_usage else {}  # which in a stream with it is in each event, null but in the last
    async with aclosing(parts):
        last = first
        yield event({**frame, "choices": [_choice(first.texts[0], 0, first.finishes[0])], **usage})
        async for last in parts:
            yield event({**frame, "choices": [_choice(last.texts[0], 0, last.finishes[0])], **usage})
        if with_usage:
            yield event({**frame, "choices": [], "usage": _usage(last)})
        yield DONE


def read_prompts(fields: Fields, config: GatewayConfig) -> list[str]:
    """The texts of `prompt`, of which there may be one without a list. Raises Fault."""
    value = fields.required("prompt")
    first = value
    while isinstance(first, list) and first:
        first = first[0]
    if type(first) is int:
        raise fields.wrong("prompt", "has ids of tokens, and this server takes text")
    if not isinstance(value, str | list):
        raise fields.wrong("prompt", f"is {json_type(value)}, expected a text or a list of texts")
    return fields.text_or_texts("prompt", most=config.max_texts)


def refuse_others(fields: Fields) -> None:
    """Refuse what would change the answer and is not offered. Raises Fault."""
    for name, only in ONLY.items():
        value = fields.get(name)
        if value is None or (value == only and isinstance(value, bool) is isinstance(only, bool)):
            continue
        given = f"{value}" if isinstance(value, int | float) and not isinstance(value, bool) else json_type(value)
        offered = "is not offered" if only in (None, "", {}) else f"must be {str(only).lower()} here"
        raise fields.wrong(name, f"is {given}; it {offered}")


def wants_usage(fields: Fields) -> bool:
    """Whether a stream is to end with the number of its tokens. Raises Fault."""
    options = fields.nested("stream_options")
    if options is None:
        return False
    if not fields.flag("stream", False):
        raise fields.wrong("stream_options", "is for streams, and stream is not true")
    return options.flag("include_usage", False)


def read_options(fields: Fields, served: Served) -> dict[str, Any]:
    """The options of the verb `generate` that a request asks for. Raises Fault.

    A `temperature` of 0 takes the likeliest token each time, a higher one, or a `top_p` below 1, draws it. Where
    nothing is drawn `top_p`, `top_k` and `seed` change nothing, and are let pass; and so are `length_penalty` and
    `early_stopping` where there is one beam.
    """
    temperature, top_p = fields.number("temperature"), fields.number("top_p")
    top_k, seed = fields.whole("top_k", least=-1), fields.whole("seed", least=0)
    if temperature is not None and temperature < 0:
        raise fields.wrong("temperature", f"is {temperature}, expected 0 or more")
    says_stop = fields.get("stop") not in (None, "", [])
    if temperature is not None:
        draws = temperature > 0
    elif (top_p is not None and top_p < 1) or (top_k is not None and top_k > 0):
        draws = True
    else:
        draws = bool(served.pipeline.option_defaults.get("do_sample"))
    how: dict[str, Any] = {"do_sample": draws}
    if draws:
        how |= {"temperature": temperature, "top_p": top_p, "seed": seed}
        how["top_k"] = None if top_k is None else max(top_k, 0)  # vLLM writes -1 for all
    search, default = search_of(fields), _default_beams(served)
    search["num_beams"] = beams = beams_of(fields, default=default)
    if (beams or default) == 1:
        search |= {"length_penalty": None, "early_stopping": None}
    return {
        "max_new_tokens": fields.whole("max_tokens", least=1),
        "min_new_tokens": fields.whole("min_tokens", least=0),
        "stop": fields.text_or_texts("stop", most=MOST_STOPS) if says_stop else None,
        "prompt_name": None,
        **search,
        **how,
    }


def _default_beams(served: Served) -> int:
    """How many beams a text has where a request does not say it."""
    return int(served.pipeline.option_defaults.get("num_beams") or 1)


def _choice(text: str, index: int, finish: str) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": FINISHES.get(finish)}


def _frame(exchange: Exchange, served: Served) -> dict[str, Any]:
    """What stands around the choices of an answer, and of each event."""
    return {
        "id": f"cmpl-{exchange.request.id.decode()}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": served.name,
    }


def _usage(answer: Generations) -> dict[str, int]:
    read, made = int(answer.token_counts.sum()), int(answer.output_token_counts.sum())
    return {"prompt_tokens": read, "completion_tokens": made, "total_tokens": read + made}


COMPLETIONS = Dialect(
    name="completions",
    error=error_response,
    routes=(
        Route(method="POST", path="/v1/completions", endpoint=completions),
        Route(method="POST", path="/completions", endpoint=completions),
    ),
)
