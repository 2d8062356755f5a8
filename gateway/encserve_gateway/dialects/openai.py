"""OpenAI's embeddings and models, with what vLLM, Jina and NIM put into the same requests.

What differs from OpenAI: a text that is too long is cut, which headers and the field `encserve` of the answer tell,
unless the name that is asked has `truncate=error`. Ids of tokens belong to OpenAI's vocabularies: they are decoded with
the one that the gateway has, and refused where it has none.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson

from encserve import Embeddings
from encserve_gateway.bodies.fields import Fields
from encserve_gateway.bodies.prompts import read_meant
from encserve_gateway.bodies.truncation import truncation_of
from encserve_gateway.bodies.vectors import AS_BASE64, AS_NUMBERS, Frame, Write, blocks_of_rows, little_endian
from encserve_gateway.bodies.vocabulary import Vocabulary, read_vocabulary
from encserve_gateway.config import GatewayConfig
from encserve_gateway.exchange import Exchange
from encserve_gateway.faults import Fault, Kind, TooLong
from encserve_gateway.http.body import json_type
from encserve_gateway.http.response import Response, json_response
from encserve_gateway.pipelines.upstream import Served
from encserve_gateway.questions import Question
from encserve_gateway.routes import Dialect, Route

WRITERS: dict[str, Write] = {"float": AS_NUMBERS, "base64": AS_BASE64}
"""`encoding_format` -> how vectors are written."""

TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
"""Status -> `type` of an error."""

CODES = {
    Kind.NO_KEY: "invalid_api_key",
    Kind.UNKNOWN_MODEL: "model_not_found",
    Kind.TOO_LONG: "context_length_exceeded",
    Kind.RATE_LIMITED: "rate_limit_exceeded",
}
"""`code` of an error; null for others."""

REMEDY = "send text, in LangChain with check_embedding_ctx_length=False"


def error_response(fault: Fault) -> Response:
    """An error as OpenAI's clients read it."""
    return json_response(error_body(fault), status=fault.kind.status)


def error_body(fault: Fault) -> dict[str, dict[str, str | None]]:
    """The body of an error, with all four fields that OpenAI's clients know."""
    status = fault.kind.status
    message = fault.message
    if isinstance(fault, TooLong):  # a sentence that clients look for, such as pgai
        message = f"This model's maximum context length is {fault.limit} tokens. However, {message}."
    error = {
        "message": message,
        "type": TYPES.get(status, "invalid_request_error" if status < 500 else "server_error"),
        "param": fault.param or None,
        "code": CODES.get(fault.kind),
    }
    return {"error": error}


async def embeddings(exchange: Exchange) -> Response:
    """`POST /v1/embeddings`."""
    fields, config = exchange.fields, exchange.services.config
    write = WRITERS[encoding_format(fields)]
    texts = read_input(fields, config)
    dimensions = fields.whole("dimensions", least=0)
    served = await exchange.model("feature-extraction")
    pipeline = served.pipeline
    if dimensions and dimensions > pipeline.dimensions:
        raise fields.wrong("dimensions", f"is {dimensions}, the vectors of this model have {pipeline.dimensions}")
    meant = read_meant(fields, pipeline, "input_type", "task")
    way = truncation_of(fields, max_length=pipeline.max_length)
    question = Question(exchange=exchange, served=served, field="input", truncate=way)
    answer = await question.embed(
        texts,
        prompt_name=meant.prompt_name,
        dimensions=dimensions,
        adapter=meant.adapter,
    )
    rows, tail = little_endian(answer.vectors), _tail(answer, served, tokens=exchange.tokens)
    return Response(await blocks_of_rows(rows, write, ITEM, head=b'{"object":"list","data":[', tail=b"]," + tail))


def read_input(fields: Fields, config: GatewayConfig) -> list[str]:
    """The texts of `input`, of which there may be one without a list, or their tokens. Raises Fault."""
    value = fields.required("input")
    if not isinstance(value, str | list):
        raise fields.wrong("input", f"is {json_type(value)}, expected a text or a list of texts")
    listed = value if isinstance(value, list) and value and isinstance(value[0], list) else [value]
    first = listed[0][0] if isinstance(listed[0], list) and listed[0] else None
    if type(first) is not int:
        return fields.text_or_texts("input", most=config.max_texts)
    if config.vocabulary is None:
        raise fields.wrong("input", f"has ids of tokens, and this server takes text: {REMEDY}")
    fields.check_number("input", listed, most=config.max_texts)
    return [_decoded(fields, ids, index, read_vocabulary(config.vocabulary)) for index, ids in enumerate(listed)]


def _decoded(fields: Fields, ids: object, index: int, vocabulary: Vocabulary) -> str:
    """The text of some tokens. Raises Fault."""
    if not isinstance(ids, list) or not ids or not all(type(number) is int for number in ids):
        raise fields.wrong("input", f"has something else than ids of tokens at {index}")
    try:
        return vocabulary.text_of(ids)
    except ValueError as error:
        raise fields.wrong("input", f"has {error} at {index}: {REMEDY}") from None


def encoding_format(fields: Fields) -> str:
    """How vectors are to be written, a key of `WRITERS`. Raises Fault."""
    value = fields.get("encoding_format")
    if value is None:
        return "float"
    if isinstance(value, str) and value in WRITERS:
        return value
    given = value[:64] if isinstance(value, str) else json_type(value)
    message = f"Invalid value for 'encoding_format' = {given}. Supported values: {list(WRITERS)}."  # OpenAI's words
    raise Fault(Kind.INVALID, message, param="encoding_format")


ITEM = Frame(lambda index: b'{"object":"embedding","index":%d,"embedding":' % index, b"}")
"""A vector in the list `data`."""


def _tail(answer: Embeddings, served: Served, *, tokens: int) -> bytes:
    """The end of the answer, after the list of vectors; `tokens` is how many the network saw in all."""
    tail = {
        "model": served.name,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "encserve": {
            "version": answer.version,
            "certificate": answer.certificate,
            "token_counts": answer.token_counts,
            "dropped_counts": answer.dropped_counts,
        },
    }
    return orjson.dumps(tail, option=orjson.OPT_SERIALIZE_NUMPY)[1:]


async def models(exchange: Exchange) -> Response:
    """`GET /v1/models`."""
    data = [_model(exchange, each) for each in await exchange.all()]
    return json_response({"object": "list", "data": data})


async def model(exchange: Exchange) -> Response:
    """`GET /v1/models/{model}`."""
    return json_response(_model(exchange, await exchange.any(exchange.parameters["model"])))


def _model(exchange: Exchange, served: Served) -> dict[str, Any]:
    pipeline = served.pipeline
    return {
        "id": served.name,
        "object": "model",
        "created": exchange.services.started_unix_s,
        "owned_by": "encserve",
        "max_model_len": pipeline.max_length,
        "pipeline": pipeline.name,
        "version": pipeline.version,
        "task": pipeline.task,
        "precision": pipeline.precision,
        "engine": pipeline.engine,
        "pairs": pipeline.pairs,
        "mask_token": pipeline.mask_token,
        "prompt_names": pipeline.prompt_names,
        "certificate": pipeline.certificate,
        **({"candidate": asdict(pipeline.candidate)} if pipeline.candidate else {}),
    }


def unless_public(config: GatewayConfig) -> bool:
    """The list of models may be public: mteb's client asks for it without its key."""
    return not config.public_models


OPENAI = Dialect(
    name="openai",
    error=error_response,
    routes=(
        Route(method="POST", path="/v1/embeddings", endpoint=embeddings),
        Route(method="POST", path="/embeddings", endpoint=embeddings),
        Route(method="GET", path="/v1/models", endpoint=models, wants_key=unless_public),
        Route(method="GET", path="/models", endpoint=models, wants_key=unless_public),
        Route(method="GET", path="/v1/models/{model}", endpoint=model, wants_key=unless_public),
        Route(method="GET", path="/models/{model}", endpoint=model, wants_key=unless_public),
    ),
)
