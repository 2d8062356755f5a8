"""Cohere's `embed`, versions 1 and 2. Its `rerank` is in `rankings`.

What differs from Cohere: `int8` and `uint8` are scaled vector by vector, which keeps cosines, and not calibrated. A
word in `input_type` for which the checkpoint has no prompt means none, since Cohere's client always sends one; where a
checkpoint has adapters for tasks, it must be one of them. Images are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from encserve_gateway.bodies.fields import Fields
from encserve_gateway.bodies.prompts import read_meant
from encserve_gateway.bodies.truncation import truncation_of
from encserve_gateway.bodies.vectors import AS_BASE64, AS_NUMBERS, blocks_of_rows, little_endian
from encserve_gateway.exchange import Exchange
from encserve_gateway.faults import Fault, shown
from encserve_gateway.http.response import Response, json_response
from encserve_gateway.pipelines.upstream import Served
from encserve_gateway.questions import Question
from encserve_gateway.routes import Dialect, Route


def as_int8(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    """Each vector scaled by itself so that its largest component is 127 or -127; (n, dim)."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    scaled = vectors * (127 / np.where(largest > 0, largest, 1))
    return np.rint(scaled).astype(np.int8)


def as_uint8(vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
    """`as_int8` plus 128; (n, dim)."""
    return (as_int8(vectors).astype(np.int16) + 128).astype(np.uint8)


def as_ubinary(vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A bit for each component, set where it is above zero, the first one highest; (n, dim / 8)."""
    return np.packbits(vectors > 0, axis=1)


def as_binary(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    """`as_ubinary` minus 128; (n, dim / 8)."""
    return (as_ubinary(vectors).astype(np.int16) - 128).astype(np.int8)


Numbers = Callable[[NDArray[np.float32]], NDArray[Any]]

TYPES: dict[str, Numbers] = {
    "float": lambda vectors: vectors,
    "int8": as_int8,
    "uint8": as_uint8,
    "binary": as_binary,
    "ubinary": as_ubinary,
    "base64": lambda vectors: vectors,
}
"""`embedding_types` -> rows; those of base64 are written as text."""


def error_response(fault: Fault) -> Response:
    """An error as Cohere's clients read it."""
    return json_response({"message": fault.message}, status=fault.kind.status)


async def embed_texts(exchange: Exchange) -> Response:
    """`POST /v1/embed` and `/v2/embed`."""
    fields = exchange.fields
    texts = read_texts(fields, most=exchange.services.config.max_texts)
    types = read_types(fields)
    dimensions = fields.whole("output_dimension", least=1)
    served = await exchange.model("feature-extraction")
    dimensions = _checked(fields, dimensions, types, served)
    way = truncation_of(fields, max_length=served.pipeline.max_length)
    question = Question(exchange=exchange, served=served, field="texts", truncate=way)
    meant = read_meant(fields, served.pipeline, "input_type")
    answer = await question.embed(texts, prompt_name=meant.prompt_name, dimensions=dimensions, adapter=meant.adapter)
    rows = little_endian(answer.vectors)
    is_plain = exchange.path == "/v1/embed" and not types
    lists = [await _list(kind, rows) for kind in types or ["float"]]
    if is_plain:
        embeddings = lists[0]
    else:
        named = [b'"%s":' % kind.encode() + content for kind, content in zip(types or ["float"], lists, strict=True)]
        embeddings = b"{" + b",".join(named) + b"}"
    tail = {
        "id": exchange.request.id.decode(),
        "response_type": "embeddings_floats" if is_plain else "embeddings_by_type",
        "texts": texts,
        "meta": {
            "api_version": {"version": exchange.path[2]},
            "billed_units": {"input_tokens": exchange.tokens},
        },
    }
    return Response([b'{"embeddings":', embeddings, b"," + orjson.dumps(tail)[1:]])


def read_texts(fields: Fields, *, most: int) -> list[str]:
    """`texts`, or the texts of `inputs`, of version 2. Raises Fault."""
    if "images" in fields:
        raise fields.wrong("images", "cannot be embedded by a model of text")
    if "texts" in fields or "inputs" not in fields:
        return fields.texts("texts", most=most)
    inputs = fields.get("inputs")
    if not isinstance(inputs, list):
        raise fields.wrong("inputs", "is no list")
    fields.check_number("inputs", inputs, most=most)
    texts = []
    for index, each in enumerate(inputs):
        content = each.get("content") if isinstance(each, dict) else None
        parts = content if isinstance(content, list) else []
        found = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "text"]
        if len(parts) != 1 or len(found) != 1 or not isinstance(found[0], str):
            raise fields.wrong("inputs", f"has something else than one text in the content at {index}")
        texts.append(found[0])
    return texts


def read_types(fields: Fields) -> list[str]:
    """`embedding_types`, each once; empty where there are none. Raises Fault."""
    value = fields.get("embedding_types")
    if value is None:
        return []
    if not isinstance(value, list) or not value:
        raise fields.wrong("embedding_types", "is no list of words")
    for kind in value:
        if not isinstance(kind, str) or kind not in TYPES:
            given = shown(kind) if isinstance(kind, str) else "something else"
            raise fields.wrong("embedding_types", f"has {given}, expected {', '.join(TYPES)}")
    return list(dict.fromkeys(value))


def _checked(fields: Fields, dimensions: int | None, types: list[str], served: Served) -> int | None:
    """The dimensions that are asked for, if the pipeline and the types have them. Raises Fault."""
    whole = served.pipeline.dimensions
    if dimensions and dimensions > whole:
        raise fields.wrong("output_dimension", f"is {dimensions}, the vectors of this model have {whole}")
    length = dimensions or served.alias.dimensions or whole
    if length % 8 and {"binary", "ubinary"} & set(types):
        raise fields.wrong("embedding_types", f"has bits, eight in a byte, and vectors have {length} components")
    return dimensions


async def _list(kind: str, rows: NDArray[np.float32]) -> bytes:
    """A list of vectors of one type, as JSON."""
    write = AS_BASE64 if kind == "base64" else AS_NUMBERS
    numbers = np.ascontiguousarray(TYPES[kind](rows))
    return b"".join(await blocks_of_rows(numbers, write, head=b"[", tail=b"]"))


COHERE = Dialect(
    name="cohere",
    error=error_response,
    routes=(
        Route(method="POST", path="/v1/embed", endpoint=embed_texts),
        Route(method="POST", path="/v2/embed", endpoint=embed_texts),
    ),
)
