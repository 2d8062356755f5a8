"""TEI's routes that give vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from encserve import AsyncClient
from encserve._verbs.verb import HYBRID, LATE_INTERACTION
from encserve_gateway.bodies.fields import Fields
from encserve_gateway.bodies.vectors import AS_NUMBERS, blocks_of_arrays, blocks_of_rows, little_endian
from encserve_gateway.dialects.tei.options import (
    characters_of,
    prompt_name,
    read_texts,
    served_for,
    truncation,
    with_headers,
)
from encserve_gateway.exchange import Exchange
from encserve_gateway.http.response import Response, json_response
from encserve_gateway.questions import Question


async def embed_texts(exchange: Exchange) -> Response:
    """`POST /embed`: a list of vectors, for one text too."""
    fields = exchange.fields
    texts = read_texts(fields, "inputs", most=exchange.services.config.max_texts)
    served = await served_for(exchange, "feature-extraction")
    dimensions = fields.whole("dimensions", least=1)
    if dimensions and dimensions > served.pipeline.dimensions:
        raise fields.wrong("dimensions", "should be smaller than the maximum embedding dimension")
    question = Question(exchange=exchange, served=served, field="inputs", truncate=truncation(fields))
    answer = await question.embed(
        texts,
        prompt_name=prompt_name(fields, served),
        dimensions=dimensions,
        normalize=fields.flag("normalize", True),
    )
    rows = little_endian(answer.vectors)
    blocks = await blocks_of_rows(rows, AS_NUMBERS, head=b"[", tail=b"]")
    return with_headers(exchange, Response(blocks), characters=characters_of(texts))


async def embed_all(exchange: Exchange) -> Response:
    """`POST /embed_all`: of each text the vectors of its tokens, special ones and a prompt's among them. Those of late
    interaction are as the checkpoint scores them; `prompt_name` says what the texts are. Those beside vectors of texts
    are scaled to length 1, as they are scored, too."""
    fields = exchange.fields
    texts = read_texts(fields, "inputs", most=exchange.services.config.max_texts)
    served = await served_for(exchange, "token-embedding")
    question = Question(exchange=exchange, served=served, field="inputs", truncate=truncation(fields))
    options: dict[str, Any]
    if served.pipeline.task == LATE_INTERACTION:
        options = {"input_type": fields.choice("prompt_name", ("query", "document"))}
    else:
        options = {"prompt_name": prompt_name(fields, served)}
        if served.pipeline.task != HYBRID:
            options["normalize"] = False
    answer = await question.ask(AsyncClient.embed_tokens, texts, **options)
    blocks = await blocks_of_arrays(answer.vectors, AS_NUMBERS)
    return with_headers(exchange, Response([b"[", *blocks, b"]"]), characters=characters_of(texts))


async def embed_sparse(exchange: Exchange) -> Response:
    """`POST /embed_sparse`: of each text its terms, by ascending id. Where a table answers queries, `prompt_name` says
    what the texts are."""
    fields = exchange.fields
    texts = read_texts(fields, "inputs", most=exchange.services.config.max_texts)
    served = await served_for(exchange, "sparse-embedding")
    question = Question(exchange=exchange, served=served, field="inputs", truncate=truncation(fields))
    options: dict[str, Any]
    if "input_type" in served.pipeline.option_defaults:
        options = {"input_type": fields.choice("prompt_name", ("query", "document"))}
    else:
        options = {"prompt_name": prompt_name(fields, served)}
    answer = await question.ask(AsyncClient.embed_sparse, texts, **options)
    terms = []
    for ids, weights in zip(answer.token_ids, answer.weights, strict=True):
        order = np.argsort(ids)
        pairs = zip(ids[order].tolist(), weights[order], strict=True)
        terms.append([{"index": index, "value": value} for index, value in pairs])
    body = orjson.dumps(terms, option=orjson.OPT_SERIALIZE_NUMPY)
    return with_headers(exchange, Response([body]), characters=characters_of(texts))


async def similarity(exchange: Exchange) -> Response:
    """`POST /similarity`: the cosines of sentences with one of them."""
    inputs = exchange.fields.nested("inputs")
    if inputs is None:
        raise exchange.fields.wrong("inputs", "is missing")
    source = inputs.required_text("source_sentence")
    sentences = inputs.texts("sentences", most=exchange.services.config.max_texts - 1)
    served = await served_for(exchange, "feature-extraction")
    options = exchange.fields.nested("parameters") or Fields({})
    texts = [source, *sentences]
    question = Question(exchange=exchange, served=served, field="inputs", truncate=truncation(options))
    answer = await question.embed(texts, prompt_name=prompt_name(options, served))
    cosines = np.clip(answer.vectors[1:] @ answer.vectors[0], -1, 1)
    return with_headers(exchange, json_response(cosines), characters=characters_of(texts))
