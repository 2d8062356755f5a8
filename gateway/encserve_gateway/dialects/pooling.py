"""vLLM's `POST /pooling`: of each text its vector, or those of its tokens, as the task of the model has it."""

from __future__ import annotations

from typing import Any

import orjson
from numpy.typing import NDArray

from encserve import AsyncClient
from encserve._verbs.verb import HYBRID, LATE_INTERACTION
from encserve_gateway.bodies.truncation import truncation_of
from encserve_gateway.bodies.vectors import Frame, blocks_of_arrays, little_endian
from encserve_gateway.dialects.openai import WRITERS, encoding_format, error_response, read_input
from encserve_gateway.dialects.rankings import frame_of_list, refuse_raw_scores
from encserve_gateway.exchange import Exchange
from encserve_gateway.faults import Fault, Kind, shown
from encserve_gateway.http.response import Response
from encserve_gateway.pipelines.upstream import Served
from encserve_gateway.questions import Question
from encserve_gateway.routes import Dialect, Route

TASKS = {
    "feature-extraction": "embed",
    HYBRID: "embed",
    "token-embedding": "token_embed",
    LATE_INTERACTION: "token_embed",
}
"""Task of a pipeline -> vLLM's word for it; of one that does both, for what it does unless it is asked otherwise."""


async def pool(exchange: Exchange) -> Response:
    """`POST /pooling`. The vectors of `token_embed` are those of all tokens, special ones among them; of late
    interaction those that are scored, where `input_type` says what the texts are."""
    fields = exchange.fields
    write = WRITERS[encoding_format(fields)]
    texts = read_input(fields, exchange.services.config)
    refuse_raw_scores(fields)
    task = fields.choice("task", tuple(dict.fromkeys(TASKS.values())))
    served = await _served(exchange, task)
    rows = await _vectors(exchange, served, texts, of_tokens=(task or TASKS[served.pipeline.task]) == "token_embed")
    blocks = await blocks_of_arrays(map(little_endian, rows), write, ITEM)
    tail = orjson.dumps(frame_of_list(exchange, served))[1:]
    return Response([b'{"data":[', *blocks, b"]," + tail])


ITEM = Frame(lambda index: b'{"object":"pooling","index":%d,"data":' % index, b"}")
"""What is told of a text in the list `data`."""


async def _served(exchange: Exchange, task: str | None) -> Served:
    """What is asked, whose task is that of the request, where this has one. Raises Fault."""
    name = exchange.fields.text("model")
    wanted = next((ours for ours, word in TASKS.items() if word == task), None)
    if wanted is None and not name:
        wanted = "feature-extraction"
    if wanted is not None:
        return await exchange.named(name, wanted)
    served = await exchange.any(name)
    if served.pipeline.task not in TASKS:
        does = f"the model {shown(served.name)} does {served.pipeline.task}"
        raise Fault(Kind.WRONG_TASK, f"{does}, here {' or '.join(TASKS)} is asked for", param="model")
    return served


async def _vectors(exchange: Exchange, served: Served, texts: list[str], *, of_tokens: bool) -> list[NDArray[Any]]:
    """Of each text its vector, (dim,), or those of its tokens, (tokens, dim). Raises Fault."""
    way = truncation_of(exchange.fields, max_length=served.pipeline.max_length)
    question = Question(exchange=exchange, served=served, field="input", truncate=way)
    if not of_tokens:
        return list((await question.embed(texts)).vectors)
    options: dict[str, Any] = {"prompt_name": None, "normalize": True}
    if served.pipeline.task == LATE_INTERACTION:
        options = {"input_type": exchange.fields.choice("input_type", ("query", "document"))}
    tokens = await question.ask(AsyncClient.embed_tokens, texts, **options)
    return list(tokens.vectors)


POOLING = Dialect(
    name="pooling",
    error=error_response,
    routes=(Route(method="POST", path="/pooling", endpoint=pool),),
)
