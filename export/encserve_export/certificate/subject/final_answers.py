"""A pipeline's answer, as its head gives it and as it comes over the wire, in the form in which all are compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from encserve_export.checkpoint.gliner.layout import ENTITIES
from encserve_export.reference.messages import Answer
from encserve_server.steps.head.answers.spans import NO_SPAN

Tensors: TypeAlias = Mapping[str, NDArray[Any]]
"""The outputs of a pipeline for one request, without the leading dimension."""


def answers_of(task: str, tensors: Tensors) -> Sequence[tuple[Answer, ...]]:
    """The answers for each text or pair of a request; for a ranking there is one, for the query."""
    return _OF_TASK[task](tensors)


def _vectors(tensors: Tensors) -> Sequence[tuple[Answer, ...]]:
    return [(Answer("numbers", vector),) for vector in tensors["embedding"]]


def _token_vectors(tensors: Tensors) -> Sequence[tuple[Answer, ...]]:
    ends = np.cumsum(tensors["token_count"])[:-1]
    return _placed(np.split(tensors["embedding"], ends), np.split(tensors["offsets"], ends))


def _hybrid(tensors: Tensors) -> Sequence[tuple[Answer, ...]]:
    """Of each text its vector, its terms, and the vectors of its tokens."""
    ends = np.cumsum(tensors["vector_count"])[:-1]
    of_tokens = _placed(np.split(tensors["token_embedding"], ends), np.split(tensors["offsets"], ends))
    parts = zip(_vectors(tensors), _weights(tensors), of_tokens, strict=True)
    return [(*dense, *sparse, *tokens) for dense, sparse, tokens in parts]


def _late_interaction(tensors: Tensors) -> Sequence[tuple[Answer, ...]]:
    if len(tensors["index"]):
        return _ranking(tensors)
    ends = np.cumsum(tensors["vector_count"])[:-1]
    return _placed(np.split(tensors["embedding"], ends), np.split(tensors["offsets"], ends))


def _placed(vectors: Sequence[NDArray[Any]], offsets: Sequence[NDArray[Any]]) -> Sequence[tuple[Answer, ...]]:
    """Vectors (t, W) of each text, each with its number and its place in the text, (t, 2)."""
    return [
        (Answer("found", own, tuple((index, *map(int, place)) for index, place in enumerate(places))),)
        for own, places in zip(vectors, offsets, strict=True)
    ]


def _weights(tensors: Tensors) -> Sequence[tuple[Answer, ...]]:
    ends = np.cumsum(tensors["term_count"])[:-1]
    parts = zip(np.split(tensors["weight"], ends), np.split(tensors["token_id"], ends), strict=True)
    return [(Answer("weights", weights, tuple(ids.tolist())),) for weights, ids in parts]


def _labels(tensors: Tensors) -> Sequence[tuple[Answer, ...]]:
    return [
        (Answer("ranked", scores, tuple(label.decode() for label in labels)),)
        for labels, scores in zip(tensors["label"], tensors["score"], strict=True)
    ]


def _ranking(tensors: Tensors) -> Sequence[tuple[Answer, ...]]:
    return [(Answer("ranked", tensors["score"], tuple(tensors["index"].tolist())),)]


def _entities(tensors: Tensors) -> Sequence[tuple[Answer, ...]]:
    columns = (tensors[name].tolist() for name in ("label", "start", "end", "entity"))
    keys = [(label.decode(), start, end, text.decode()) for label, start, end, text in zip(*columns, strict=True)]
    answers, begin = [], 0
    for count in tensors["entity_count"].tolist():
        answers.append((Answer("found", tensors["score"][begin : begin + count], tuple(keys[begin : begin + count])),))
        begin += count
    return answers


def _spans(tensors: Tensors) -> Sequence[tuple[Answer, ...]]:
    answers = []
    for row, absent in enumerate(tensors["no_answer_score"]):
        found = np.flatnonzero(tensors["start"][row] != NO_SPAN)
        columns = (tensors[name][row][found].tolist() for name in ("start", "end", "answer"))
        keys = tuple((start, end, text.decode()) for start, end, text in zip(*columns, strict=True))
        answers.append((Answer("ranked", tensors["score"][row][found], keys), Answer("numbers", np.array([absent]))))
    return answers


def _fills(tensors: Tensors) -> Sequence[tuple[Answer, ...]]:
    masks = [
        Answer("ranked", scores, tuple((id_, token.decode()) for id_, token in zip(ids, tokens, strict=True)))
        for scores, ids, tokens in zip(tensors["score"], tensors["token_id"].tolist(), tensors["token"], strict=True)
    ]
    ends = np.cumsum(tensors["mask_count"]).tolist()
    return [tuple(masks[begin:end]) for begin, end in zip([0, *ends], ends, strict=False)]


_OF_TASK: dict[str, Callable[[Tensors], Sequence[tuple[Answer, ...]]]] = {
    "feature-extraction": _vectors,
    "token-embedding": _token_vectors,
    "late-interaction": _late_interaction,
    "hybrid-embedding": _hybrid,
    "sparse-embedding": _weights,
    "text-classification": _labels,
    "text-ranking": _ranking,
    "token-classification": _entities,
    ENTITIES: _entities,
    "question-answering": _spans,
    "fill-mask": _fills,
    "zero-shot-classification": _labels,
}
