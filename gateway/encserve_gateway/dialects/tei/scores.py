"""TEI's routes that give scores: of documents for a query, and of labels for texts."""

from __future__ import annotations

from typing import Any

from encserve._verbs.verb import LATE_INTERACTION
from encserve_gateway.bodies.fields import Fields
from encserve_gateway.bodies.instruction import refuse_instruction
from encserve_gateway.bodies.kept_documents import kept_documents, options_of_kept
from encserve_gateway.dialects.tei.options import (
    characters_of,
    refuse_raw_scores,
    served_for,
    truncation,
    with_headers,
)
from encserve_gateway.exchange import Exchange
from encserve_gateway.http.body import json_type
from encserve_gateway.http.response import Response, json_response
from encserve_gateway.pipelines.upstream import Served
from encserve_gateway.questions import Question


async def rerank(exchange: Exchange) -> Response:
    """`POST /rerank` with `texts`: a list, best first. `top_n`, which TEI does not know, is what LiteLLM sends."""
    fields = exchange.fields
    query = fields.required_text("query")
    most = exchange.services.config.max_texts
    kept = await kept_documents(fields, "texts", most=most)
    texts = fields.texts("texts", most=most) if kept is None else []
    refuse_raw_scores(fields)
    refuse_instruction(fields)
    with_text = fields.flag("return_text", False)
    if with_text and kept is not None:
        raise fields.wrong("return_text", "is true, and the texts are vectors")
    top = fields.whole("top_n", least=0)
    exchange.is_kept, options = kept is not None, {} if kept is None else options_of_kept(fields)
    served = await served_for(exchange, "text-ranking" if kept is None else LATE_INTERACTION)
    question = Question(exchange=exchange, served=served, field="texts", truncate=truncation(fields))
    ranking = await question.rank(query, texts if kept is None else kept, top_k=top, **options)
    items: list[dict[str, Any]] = [
        {"index": index, "score": score} | ({"text": texts[index]} if with_text else {})
        for index, score in zip(ranking.indices.tolist(), ranking.scores, strict=True)
    ]
    return with_headers(exchange, json_response(items), characters=characters_of([query, *texts]))


async def predict(exchange: Exchange) -> Response:
    """`POST /predict`: the labels of a text, a pair of texts, or a list of such, highest score first."""
    fields = exchange.fields
    inputs, is_batch = read_inputs(fields, most=exchange.services.config.max_texts)
    refuse_raw_scores(fields)
    served = await served_for(exchange, "text-classification")
    firsts, seconds = _columns(fields, inputs, served)
    question = Question(exchange=exchange, served=served, field="inputs", truncate=truncation(fields))
    answer = await question.classify(firsts, seconds)
    labelled = [
        [{"score": score, "label": label} for label, score in zip(labels, scores, strict=True)]
        for labels, scores in zip(answer.labels, answer.scores, strict=True)
    ]
    response = json_response(labelled if is_batch else labelled[0])
    return with_headers(exchange, response, characters=characters_of([text for texts in inputs for text in texts]))


def read_inputs(fields: Fields, *, most: int) -> tuple[list[list[str]], bool]:
    """The texts, or pairs, of `inputs`, each as a list of one or two texts, and whether they are a batch: `["a", "b"]`
    is one pair, and `[["a"], ["b"]]` two texts. Raises Fault."""
    value = fields.required("inputs")
    if isinstance(value, str):
        return [[value]], False
    if not isinstance(value, list):
        raise fields.wrong("inputs", f"is {json_type(value)}, expected a text or a list")
    fields.check_number("inputs", value, most=most)
    is_batch = isinstance(value[0], list)
    inputs = value if is_batch else [value]
    for index, texts in enumerate(inputs):
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise fields.wrong("inputs", f"has something else than a list of texts at {index}")
        if len(texts) not in (1, 2):
            raise fields.wrong("inputs", f"has {len(texts)} texts at {index}, expected one, or two that are a pair")
    return inputs, is_batch


def _columns(fields: Fields, inputs: list[list[str]], served: Served) -> tuple[list[str], list[str] | None]:
    """First and second texts, as the pipeline takes them. Raises Fault."""
    pairs = served.pipeline.pairs
    for index, texts in enumerate(inputs):
        if len(texts) != 1 + pairs:
            raise fields.wrong("inputs", f"has {len(texts)} texts at {index}, this model takes {1 + pairs}")
    return [texts[0] for texts in inputs], [texts[1] for texts in inputs] if pairs else None
