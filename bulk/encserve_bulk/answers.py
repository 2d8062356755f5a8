"""What each verb writes about a text: its columns, and how an answer fills them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from encserve import Classifications, Embeddings, PipelineInfo, Ranking, SparseEmbeddings, TokenClassifications
from encserve._verbs.classify import CLASSIFY
from encserve._verbs.classify_tokens import CLASSIFY_TOKENS
from encserve._verbs.embedding.embed import EMBED
from encserve._verbs.embedding.sparse import EMBED_SPARSE
from encserve._verbs.embedding.vector_types import OUTPUTS
from encserve._verbs.rerank import RERANK
from encserve._verbs.verb import Verb

Options = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Form:
    """A verb as a bulk job."""

    verb: Verb[Any]
    columns: Callable[[PipelineInfo, Options], Mapping[str, pa.DataType]]
    """Name and type of each column beside the id, the counts and the error."""
    rows: Callable[[Any], list[Mapping[str, Any]]]
    """What an answer has for each text, in their order."""


def _vector_type(pipeline: PipelineInfo, options: Options) -> Mapping[str, pa.DataType]:
    """Lists that may be of any length: pyarrow cannot read lists of one length where a row has none."""
    _, kind = OUTPUTS[options.get("output_dtype") or "float32"]
    return {"vector": pa.list_(pa.from_numpy_dtype(kind))}


def _vectors(answer: Embeddings) -> list[Mapping[str, Any]]:
    return [{"vector": vector} for vector in answer.vectors]


def _terms(answer: SparseEmbeddings) -> list[Mapping[str, Any]]:
    pairs = zip(answer.token_ids, answer.weights, strict=True)
    return [{"token_ids": ids, "weights": weights} for ids, weights in pairs]


def _label_types(pipeline: PipelineInfo, options: Options) -> Mapping[str, pa.DataType]:
    columns = {"labels": pa.list_(pa.string()), "scores": pa.list_(pa.float32())}
    calibrated = options.get("probabilities")
    if calibrated is None:
        calibrated = pipeline.option_defaults.get("probabilities", False)
    return {**columns, **({"probabilities": pa.list_(pa.float32())} if calibrated else {})}


def _labels(answer: Classifications) -> list[Mapping[str, Any]]:
    rows: list[Mapping[str, Any]] = [
        {"labels": list(labels), "scores": scores} for labels, scores in zip(answer.labels, answer.scores, strict=True)
    ]
    if answer.probabilities is None:
        return rows
    return [{**row, "probabilities": own} for row, own in zip(rows, answer.probabilities, strict=True)]


def _entities(answer: TokenClassifications) -> list[Mapping[str, Any]]:
    return [{"entities": [vars(entity) for entity in entities]} for entities in answer.entities]


def _scores(answer: Ranking) -> list[Mapping[str, Any]]:
    scores = np.empty_like(answer.scores)
    scores[answer.indices] = answer.scores
    return [{"score": score} for score in scores]


_ENTITY = pa.struct(
    {"label": pa.string(), "score": pa.float32(), "text": pa.string(), "start": pa.int32(), "end": pa.int32()}
)

FORMS: Mapping[str, Form] = {
    "embed": Form(verb=EMBED, columns=_vector_type, rows=_vectors),
    "embed-sparse": Form(
        verb=EMBED_SPARSE,
        columns=lambda pipeline, options: {"token_ids": pa.list_(pa.int32()), "weights": pa.list_(pa.float32())},
        rows=_terms,
    ),
    "classify": Form(
        verb=CLASSIFY,
        columns=_label_types,
        rows=_labels,
    ),
    "classify-tokens": Form(
        verb=CLASSIFY_TOKENS,
        columns=lambda pipeline, options: {"entities": pa.list_(_ENTITY)},
        rows=_entities,
    ),
    "rerank": Form(
        verb=RERANK,
        columns=lambda pipeline, options: {"score": pa.float32()},
        rows=_scores,
    ),
}
