"""vLLM's and Infinity's `POST /classify`, which is vLLM's in the answer: of each text the likeliest label, and the
probabilities of all in the order of the checkpoint."""

from __future__ import annotations

from encserve_gateway.bodies.truncation import truncation_of
from encserve_gateway.dialects.openai import error_response
from encserve_gateway.dialects.rankings import frame_of_list, refuse_raw_scores
from encserve_gateway.exchange import Exchange
from encserve_gateway.http.response import Response, json_response
from encserve_gateway.questions import Question
from encserve_gateway.routes import Dialect, Route


async def classify_texts(exchange: Exchange) -> Response:
    """`POST /classify`."""
    fields = exchange.fields
    texts = fields.text_or_texts("input", most=exchange.services.config.max_texts)
    refuse_raw_scores(fields)
    served = await exchange.model("text-classification")
    pipeline = served.pipeline
    if pipeline.pairs:
        raise fields.wrong("model", "names a model of pairs of texts, which are asked at /predict")
    way = truncation_of(fields, max_length=pipeline.max_length)
    answer = await Question(exchange=exchange, served=served, field="input", truncate=way).classify(texts)
    data = []
    for index, (labels, scores) in enumerate(zip(answer.labels, answer.scores, strict=True)):
        by_label = dict(zip(labels, scores, strict=True))
        order = [label for label in pipeline.labels if label in by_label] or list(labels)
        probs = [by_label[label] for label in order]
        data.append({"index": index, "label": labels[0], "probs": probs, "num_classes": len(probs)})
    return json_response({**frame_of_list(exchange, served), "data": data})


CLASSIFICATION = Dialect(
    name="classification",
    error=error_response,
    routes=(
        Route(method="POST", path="/classify", endpoint=classify_texts),
        Route(method="POST", path="/v1/classify", endpoint=classify_texts),
    ),
)
