"""Our own routes: `POST /v1/TASK` for each verb of the SDK, with all of its options, made from the table of verbs.

Unlike other dialects, these refuse fields that they do not know, and leave to the pipeline what a request does not say.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import orjson

from encserve import Answer, AsyncClient
from encserve._verbs.options import CallOptions, Option, options_of
from encserve._verbs.table import VERBS
from encserve._verbs.verb import LATE_INTERACTION, Verb
from encserve_gateway.bodies.fields import Fields
from encserve_gateway.bodies.kept_documents import TYPE, kept_documents
from encserve_gateway.bodies.vectors import AS_NUMBERS, blocks_of_arrays, blocks_of_rows
from encserve_gateway.dialects.openai import error_response
from encserve_gateway.exchange import Exchange
from encserve_gateway.http.response import Response
from encserve_gateway.routes import Dialect, Route

SINGLE = frozenset({"query", "question", "context"})
"""Arguments that are one text; all others are lists of texts."""

OPTIONAL = frozenset({"text_pairs", "model"})
"""Arguments that a request may leave out: of pipelines without pairs, and of the first pipeline that does the task."""

PRIORITY = options_of(CallOptions)["priority"]
"""The option of a call that is no option of a pipeline, and that a request may have."""


def path_of(verb: Verb[Any]) -> str:
    """Where a verb is asked: at its task, and the second one of a task below it."""
    first = next(each.name for each in VERBS.values() if each.task == verb.task)
    return f"/v1/{verb.task}" if verb.name == first else f"/v1/{verb.task}/{verb.name}"


def options_of_verb(verb: Verb[Any]) -> Mapping[str, Option]:
    """The options that a request may have, by name."""
    return {**verb.options, PRIORITY.name: PRIORITY}


async def ask(verb: Verb[Any], exchange: Exchange) -> Response:
    """The answer to a verb: the fields of the SDK's result, of which `docs/reference/client.md` says what they are."""
    fields = exchange.fields
    options = options_of_verb(verb)
    for name in fields:
        if name not in verb.arguments and name not in options:
            known = ", ".join([*verb.arguments, *options])
            raise fields.wrong(name, f"is no field of this route; it has {known}")
    arguments: dict[str, Any] = {}
    if TYPE in options:
        kept = await kept_documents(fields, "documents", most=exchange.services.config.max_texts)
        exchange.is_kept = kept is not None
        arguments = {"documents": kept} if exchange.is_kept else {}
    others = (name for name in verb.arguments if name != "model" and name not in arguments)
    arguments |= {name: _argument(fields, name, exchange) for name in others}
    given = {name: _value(fields, option, exchange) for name, option in options.items()}
    served = await exchange.model(LATE_INTERACTION if exchange.is_kept else verb.task)
    given = served.alias.fill(given)
    present = {name: value for name, value in arguments.items() if value is not None}
    asked = {**present, "model": served.pipeline.name, **given}
    method: Callable[..., Awaitable[Answer]] = getattr(AsyncClient, verb.name)
    exchange.about(*present.values())
    answer = await exchange.answer(lambda client, how: method(client, **{**asked, **how}))
    # Of the whole call `start` is 0, and what the SDK has as None is absent.
    told = {name: value for name, value in vars(answer).items() if name != "start" and value is not None}
    blocks = [b'{"model":', _json(told.pop("model"))]
    for name, value in told.items():
        blocks += [b',"%s":' % name.encode(), *await _blocks(value)]
    return Response([*blocks, b"}"])


async def _blocks(value: Any) -> list[bytes]:
    """A field of an answer as JSON; what may be long in pieces, between which other requests have their turn."""
    if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
        return [b"[", *await blocks_of_arrays(value, AS_NUMBERS), b"]"]
    if isinstance(value, np.ndarray) and value.ndim > 1:
        return await blocks_of_rows(np.ascontiguousarray(value), AS_NUMBERS, head=b"[", tail=b"]")
    return [_json(value)]


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY, default=_as_list)


def _argument(fields: Fields, name: str, exchange: Exchange) -> Any:
    if name in OPTIONAL and name not in fields:
        return None
    return fields.required_text(name) if name in SINGLE else fields.texts(name, most=exchange.services.config.max_texts)


def _value(fields: Fields, option: Option, exchange: Exchange) -> Any:
    """The value of an option; None where a request leaves it to the pipeline. Raises Fault."""
    if option.name not in fields:
        return None
    if option.choices:
        return fields.choice(option.name, option.choices)
    if option.kind is int:
        return fields.whole(option.name, least=option.least)
    if option.kind is float:
        return fields.number(option.name)
    if option.kind is tuple:
        return _pairs_of_each(fields, option.name)
    if option.kind is list or (option.by_text and isinstance(fields.get(option.name), list)):
        values = fields.texts(option.name, most=exchange.services.config.max_texts)
        if "" in values:
            raise fields.wrong(option.name, f"has an empty text at {values.index('')}, expected one that is not empty")
        return values
    return fields.flag(option.name, False) if option.kind is bool else fields.text(option.name)


def _pairs_of_each(fields: Fields, name: str) -> list[list[list[int]]]:
    """For each text its pairs of whole numbers; the SDK knows whether they are of the text. Raises Fault."""
    given = fields.get(name)

    def is_pair(pair: object) -> bool:
        return isinstance(pair, list) and len(pair) == 2 and all(type(each) is int and each >= 0 for each in pair)

    if isinstance(given, list) and given and all(isinstance(each, list) and all(map(is_pair, each)) for each in given):
        return given
    raise fields.wrong(name, "is not for each text a list of pairs of whole numbers, such as [[[0, 5], [5, 9]]]")


def _as_list(array: object) -> list[Any]:
    """Arrays that are no contiguous numbers, such as parts of others."""
    listed: list[Any] = np.asarray(array).tolist()
    return listed


OWN = Dialect(
    name="encserve",
    error=error_response,
    routes=tuple(Route(method="POST", path=path_of(verb), endpoint=partial(ask, verb)) for verb in VERBS.values()),
)
