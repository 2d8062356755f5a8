"""Rankings and scores as Jina, Cohere, vLLM, Infinity, Voyage and NIM have them.

The first five share a request, and one answer has what each of their clients reads. `document` is there only where it
is asked for, and is an object; Infinity's clients bear that. NIM's `logit` is the score of the checkpoint's own
activation.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any

import numpy as np

from encserve import Ranking
from encserve._verbs.verb import LATE_INTERACTION
from encserve_gateway.bodies.fields import Fields
from encserve_gateway.bodies.instruction import read_instruction, refuse_instruction
from encserve_gateway.bodies.kept_documents import kept_documents, options_of_kept
from encserve_gateway.bodies.truncation import truncation_of
from encserve_gateway.dialects import openai
from encserve_gateway.exchange import Exchange
from encserve_gateway.faults import Fault, Kind
from encserve_gateway.http.body import json_type
from encserve_gateway.http.response import Response, json_response
from encserve_gateway.pipelines.upstream import Served
from encserve_gateway.questions import Question
from encserve_gateway.routes import Dialect, Route

DOCUMENTS_PER_UNIT = 100
"""Documents of one of Cohere's search units."""

TRIES = 3
"""How often pairs are asked about at most until one version has answered all."""

FIRSTS = ("queries", "text_1", "data_1")
SECONDS = ("documents", "items", "text_2", "data_2")
"""What vLLM's clients call the two sides of `score`."""


def error_response(fault: Fault) -> Response:
    """OpenAI's form, with the message where Cohere's clients look for it too."""
    body = openai.error_body(fault)
    return json_response({**body, "message": body["error"]["message"]}, status=fault.kind.status)


async def rerank(exchange: Exchange) -> Response:
    """`POST /v1/rerank`, `/v2/rerank`, and `/rerank` with `documents`."""
    fields = exchange.fields
    query = fields.required_text("query")
    if exchange.path == "/v2/rerank" and not query.strip():
        raise fields.wrong("query", "must not be empty or be only whitespace")
    most = exchange.services.config.max_texts
    kept = await kept_documents(fields, "documents", most=most)
    documents = read_documents(fields, "documents", most=most) if kept is None else kept
    top = fields.whole("top_n", least=0) or fields.whole("top_k", least=0)
    with_documents = fields.flag("return_documents", False)
    if with_documents and kept is not None:
        raise fields.wrong("return_documents", "is true, and the documents are no texts")
    refuse_raw_scores(fields)
    exchange.is_kept, options = kept is not None, {} if kept is None else options_of_kept(fields)
    served = await exchange.model("text-ranking" if kept is None else LATE_INTERACTION)
    instruction, question = read_instruction(fields, served.pipeline), _question(exchange, served, "documents")
    ranking = await question.rank(query, documents, top_k=top, instruction=instruction, **options)
    results: list[dict[str, Any]] = [
        {"index": index, "relevance_score": score}
        | ({"document": {"text": documents[index]}} if with_documents else {})
        for index, score in _places(ranking)
    ]
    version = "2" if exchange.path == "/v2/rerank" else "1"
    units = {"search_units": -(-len(documents) // DOCUMENTS_PER_UNIT)}
    body = {
        "id": exchange.request.id.decode(),
        "object": "rerank",
        "model": served.name,
        "results": results,
        "usage": usage_of(exchange),
        "meta": {"api_version": {"version": version}, "billed_units": units},
        "encserve": told(ranking),
    }
    if exchange.path == "/v1/rerank" or "top_k" in fields or "truncation" in fields:
        body["data"] = results  # for the clients of Voyage, of which LiteLLM says nothing by which to know it
    return json_response(body)


async def ranking(exchange: Exchange) -> Response:
    """NIM's `POST /v1/ranking`, and `/v1/retrieval/NAME/reranking`."""
    fields = exchange.fields
    query = fields.nested("query") or Fields({}, inside="query")
    text = query.required_text("text")
    passages = read_documents(fields, "passages", most=exchange.services.config.max_texts)
    refuse_instruction(fields)
    served = await exchange.named(exchange.parameters.get("model") or fields.text("model"), "text-ranking")
    top = fields.whole("top_k", least=0)  # of the hosted service, which LiteLLM asks
    answer = await _question(exchange, served, "passages").rank(text, passages, top_k=top)
    rankings = [{"index": index, "logit": score} for index, score in _places(answer)]
    return json_response({"rankings": rankings, "usage": usage_of(exchange)})


async def score(exchange: Exchange) -> Response:
    """vLLM's `POST /score`: one first text and many second ones, or as many of both, in their order."""
    fields, config = exchange.fields, exchange.services.config
    first, second = _first_of(fields, FIRSTS), _first_of(fields, SECONDS)
    queries = fields.text_or_texts(first, most=config.max_texts)
    documents = fields.text_or_texts(second, most=config.max_texts)
    if len(queries) not in (1, len(documents)):
        raise fields.wrong(second, f"has {len(documents)} items and {first} {len(queries)}, expected as many or one")
    refuse_raw_scores(fields)
    served = await exchange.model("text-ranking")
    instruction, question = read_instruction(fields, served.pipeline), _question(exchange, served, second)
    if len(queries) == 1:
        rankings = [await question.rank(queries[0], documents, instruction=instruction)]
    else:
        rankings = await _of_one_version(question, list(zip(queries, documents, strict=True)), instruction=instruction)
    scores = np.concatenate([each.scores[np.argsort(each.indices)] for each in rankings])
    data = [{"index": index, "object": "score", "score": value} for index, value in enumerate(scores)]
    return json_response({**frame_of_list(exchange, served), "data": data})


def read_documents(fields: Fields, name: str, *, most: int) -> list[str]:
    """Texts, or objects with a `text`. Raises Fault."""
    value = fields.required(name)
    if not isinstance(value, list):
        raise fields.wrong(name, f"is {json_type(value)}, expected a list of texts")
    fields.check_number(name, value, most=most)
    texts: list[str] = []
    for index, item in enumerate(value):
        text = item.get("text") if isinstance(item, dict) else item
        if not isinstance(text, str):
            expected = "expected a text, or an object with a text in its field text"
            raise fields.wrong(name, f"has {json_type(item)} at {index}, {expected}")
        texts.append(text)
    return texts


def refuse_raw_scores(fields: Fields) -> None:
    """Refuse scores before the last function of the network: no pipeline gives them. Raises Fault."""
    for name, raw in (("raw_scores", True), ("use_activation", False)):
        if fields.flag(name, not raw) is raw:
            problem = f"is {str(raw).lower()}; this server gives the scores of the checkpoint's own activation only"
            raise fields.wrong(name, problem)


def told(answer: Ranking) -> dict[str, Any]:
    """What was seen of each text, for the field `encserve` of an answer."""
    return {
        "version": answer.version,
        "certificate": answer.certificate,
        "token_counts": answer.token_counts,
        "dropped_counts": answer.dropped_counts,
    }


def _question(exchange: Exchange, served: Served, field: str) -> Question:
    way = truncation_of(exchange.fields, max_length=served.pipeline.max_length)
    return Question(exchange=exchange, served=served, field=field, truncate=way)


async def _of_one_version(
    question: Question, pairs: Sequence[tuple[str, str]], *, instruction: str | None
) -> list[Ranking]:
    """The scores of pairs, which stand side by side: where a promotion came between them, all are asked anew. Raises
    Fault."""
    for _ in range(TRIES):
        rankings = await all_of([question.rank_one_of_many(*pair, instruction=instruction) for pair in pairs])
        if len({ranking.version for ranking in rankings}) == 1:
            return rankings
    raise Fault(Kind.UNREACHABLE, f"the model changed its version during the request, {TRIES} times")


async def all_of(asked: Iterable[Coroutine[Any, Any, Ranking]]) -> list[Ranking]:
    """The answers to questions that are asked at the same time; the first that fails ends the others. Raises Fault."""
    tasks = [asyncio.ensure_future(each) for each in asked]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _places(ranking: Ranking) -> list[tuple[int, Any]]:
    return list(zip(ranking.indices.tolist(), ranking.scores, strict=True))


def frame_of_list(exchange: Exchange, served: Served) -> dict[str, Any]:
    """What stands around the items of an answer of vLLM."""
    return {
        "id": exchange.request.id.decode(),
        "object": "list",
        "created": int(time.time()),
        "model": served.name,
        "usage": usage_of(exchange),
    }


def usage_of(exchange: Exchange) -> dict[str, int]:
    """The tokens of a request, as OpenAI's clients count them."""
    return {"prompt_tokens": exchange.tokens, "total_tokens": exchange.tokens}


def _first_of(fields: Fields, names: tuple[str, ...]) -> str:
    return next((name for name in names if name in fields), names[0])


RANKINGS = Dialect(
    name="rankings",
    error=error_response,
    routes=(
        Route(method="POST", path="/rerank", endpoint=rerank),
        Route(method="POST", path="/v1/rerank", endpoint=rerank),
        Route(method="POST", path="/v2/rerank", endpoint=rerank),
        Route(method="POST", path="/v1/ranking", endpoint=ranking),
        Route(method="POST", path="/v1/retrieval/{model}/reranking", endpoint=ranking),
        Route(method="POST", path="/score", endpoint=score),
        Route(method="POST", path="/v1/score", endpoint=score),
    ),
)
