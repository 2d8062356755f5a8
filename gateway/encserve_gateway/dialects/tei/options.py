"""What TEI's routes share: whom they ask, how texts are read and cut, what the headers of an answer tell."""

from __future__ import annotations

import time
from typing import Any

from encserve_gateway.bodies.fields import Fields
from encserve_gateway.exchange import Exchange
from encserve_gateway.faults import Kind
from encserve_gateway.http.response import Response
from encserve_gateway.pipelines.upstream import Served

DIRECTIONS = {"left": "start", "right": "end"}


async def served_for(exchange: Exchange, task: str) -> Served:
    """What the path names, or the first that does the task: the bodies of TEI name no model. Raises Fault."""
    return await exchange.named(exchange.parameters.get("model"), task)


def read_texts(fields: Fields, name: str, *, most: int) -> list[str]:
    """One text or several, none of which may be empty. Raises Fault."""
    value = fields.get(name)
    if isinstance(value, list) and value:
        first = value[0][0] if isinstance(value[0], list) and value[0] else value[0]
        if type(first) is int:
            raise fields.wrong(name, "has ids of tokens; this server takes text")
    texts = fields.text_or_texts(name, most=most)
    if "" in texts:
        raise fields.wrong(name, "cannot be empty", kind=Kind.EMPTY)
    return texts


def truncation(fields: Fields) -> str | None:
    """ "end", "start", or "error" for who wants no text to be cut; None where nothing is said. Raises Fault."""
    if not fields.flag("truncate", True):
        return "error"
    direction = fields.choice("truncation_direction", ("left", "right", "Left", "Right"))
    return DIRECTIONS[direction.lower()] if direction else None


def prompt_name(fields: Fields, served: Served) -> str | None:
    """The prompt that a request names, "" for none. Raises Fault where the pipeline has no such prompt."""
    name = fields.text("prompt_name")
    if name and name not in served.pipeline.prompt_names:
        known = ", ".join(map(repr, served.pipeline.prompt_names)) or "none"
        raise fields.wrong("prompt_name", f"is not one of the prompts of this model: {known}")
    return name


def refuse_raw_scores(fields: Fields) -> None:
    """Refuse scores before the last function of the network: no pipeline gives them. Raises Fault."""
    if fields.flag("raw_scores", False):
        raise fields.wrong(
            "raw_scores", "is true; this server gives the scores of the checkpoint's own activation only"
        )


def with_headers(exchange: Exchange, response: Response, *, characters: int) -> Response:
    """The response with TEI's headers, in whole milliseconds; what is not known of the steps inside is not made up."""
    assert exchange.served is not None
    pipeline = exchange.served.pipeline
    total_ms = int((time.perf_counter() - exchange.begun_s) * 1000)
    values: dict[str, Any] = {
        "x-compute-type": f"{pipeline.engine}+{pipeline.precision}",
        "x-compute-time": int(exchange.pipeline_s * 1000),
        "x-compute-characters": characters,
        "x-compute-tokens": exchange.tokens,
        "x-total-time": total_ms,
    }
    response.headers += [(name.encode(), str(value).encode()) for name, value in values.items()]
    return response


def characters_of(texts: list[str]) -> int:
    """Characters of texts, as TEI counts them."""
    return sum(map(len, texts))
