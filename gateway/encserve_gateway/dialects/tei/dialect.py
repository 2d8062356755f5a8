"""The table of TEI's routes, each also below `/models/NAME`: its bodies name no model."""

from __future__ import annotations

from typing import Any

from encserve import PipelineInfo, __version__
from encserve_gateway.dialects.tei.errors import error_response
from encserve_gateway.dialects.tei.scores import predict, rerank
from encserve_gateway.dialects.tei.vectors import embed_all, embed_sparse, embed_texts, similarity
from encserve_gateway.exchange import Exchange
from encserve_gateway.faults import Fault, Kind
from encserve_gateway.http.response import Response, json_response
from encserve_gateway.routes import Dialect, Endpoint, Route

DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "int8": "int8"}
"""Precision -> TEI's word."""


async def info(exchange: Exchange) -> Response:
    """`GET /info`: of the model in the path, or of the first."""
    config = exchange.services.config
    served = await exchange.any(exchange.parameters.get("model"))
    pipeline = served.pipeline
    return json_response(
        {
            "model_id": pipeline.name,
            "model_sha": pipeline.certificate,
            "model_dtype": DTYPES.get(pipeline.precision, pipeline.precision),
            "served_model_name": served.name,
            "model_type": _model_type(pipeline),
            "max_concurrent_requests": config.max_requests,
            "max_input_length": pipeline.max_length,
            "max_batch_tokens": pipeline.max_tokens_per_request,
            "max_batch_requests": None,
            "max_client_batch_size": config.max_texts,
            "auto_truncate": served.alias.truncate != "error",
            "version": __version__,
            "sha": None,
            "docker_label": None,
        }
    )


def _model_type(pipeline: PipelineInfo) -> dict[str, Any]:
    labels = {
        "id2label": {str(index): label for index, label in enumerate(pipeline.labels)},
        "label2id": {label: index for index, label in enumerate(pipeline.labels)},
    }
    match pipeline.task:
        case "text-classification":
            return {"classifier": labels}
        case "text-ranking":
            return {"reranker": labels}
        case "sparse-embedding":
            return {"embedding": {"pooling": "splade"}}
        case _:
            return {"embedding": {"pooling": "unknown"}}  # a pipeline does not say


async def no_tokens(exchange: Exchange) -> Response:
    """`POST /tokenize` and `/decode`. Raises Fault: pipelines take texts, and show no tokens."""
    raise Fault(Kind.WRONG_TASK, "pipelines of encserve take text and do not show how they cut it into tokens")


def _with_prefix(path: str, endpoint: Endpoint, **options: Any) -> list[Route]:
    return [
        Route(method="POST", path=path, endpoint=endpoint, **options),
        Route(method="POST", path=f"/models/{{model}}{path}", endpoint=endpoint, **options),
    ]


TEI = Dialect(
    name="tei",
    error=error_response,
    routes=(
        *_with_prefix("/embed", embed_texts),
        *_with_prefix("/embed_all", embed_all),
        *_with_prefix("/embed_sparse", embed_sparse),
        *_with_prefix("/rerank", rerank, when=lambda fields: "documents" not in fields),
        *_with_prefix("/predict", predict),
        *_with_prefix("/similarity", similarity),
        *_with_prefix("/tokenize", no_tokens),
        *_with_prefix("/decode", no_tokens),
        Route(method="GET", path="/info", endpoint=info),
        Route(method="GET", path="/models/{model}/info", endpoint=info),
    ),
)
