"""`rerank`: the documents that answer a query best."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from encserve._results import Gather, Ranking, join
from encserve._verbs.answers import AnswerReader
from encserve._verbs.options import AdapterOption, CallOptions, TruncateOption
from encserve._verbs.verb import LATE_INTERACTION, TEXTS, Given, Verb


class RerankOptions(TruncateOption, AdapterOption, CallOptions, total=False):
    """The keywords of `rerank`."""

    top_k: int | None
    """How many documents the answer holds; all without it."""
    prompt_name: str | None
    """Which of the pipeline's prompts to put before the query, or to give as the instruction, "" for none; the
    checkpoint's without it."""
    instruction: str | None
    """What a document is to be judged by, for rerankers that are asked in words; "" for what their template says by
    itself. Without it the prompt is."""


class _Merged:
    """The best of each request's best."""

    def __init__(self, top_k: int | None) -> None:
        self._top_k = top_k
        self._parts: list[Ranking] = []

    def put(self, part: Ranking) -> None:
        """Keep a part."""
        self._parts.append(part)

    @property
    def whole(self) -> Ranking | None:
        """One order of all documents; equal scores keep the order of the call."""
        if not self._parts:
            return None
        joined = join(self._parts)
        order = np.argsort(-joined.scores, kind="stable")[: self._top_k]
        return replace(joined, indices=joined.indices[order], scores=joined.scores[order])


def _gather(rows: int, given: Given) -> Gather[Ranking]:
    top_k = given.get("top_k")
    return _Merged(None if top_k is None else int(top_k))


def _decode(answer: AnswerReader) -> Ranking:
    count = min(answer.rows, int(answer.given.get("top_k") or answer.rows))
    return Ranking(
        indices=answer.array("index", np.int32, (count,)) + np.int32(answer.start),
        scores=answer.array("score", np.float32, (count,)),
        **answer.common(),
    )


def _decode_sides(answer: AnswerReader) -> Ranking:
    """The counts of a document are those of its own tokens and of its query's, as where both are read as one."""
    count = min(answer.rows, int(answer.given.get("top_k") or answer.rows))
    texts = replace(answer, rows=answer.rows + 1) if answer.rows else answer
    common = texts.common()
    for name in ("token_counts", "dropped_counts"):
        query, documents = common[name][:1], common[name][1:]
        common[name] = documents + query if answer.rows else documents
    return Ranking(
        indices=answer.array("index", np.int32, (count,)) + np.int32(answer.start),
        scores=answer.array("score", np.float32, (count,)),
        **common | {"window_counts": np.ones(answer.rows, np.int32)},
    )


RERANK = Verb(
    name="rerank",
    task="text-ranking",
    about="""Order documents by how well they answer a query, best first.

    A pipeline of late interaction scores a document by the sum, over the vectors of the query, of the largest product
    with a vector of the document.
    """,
    arguments={"query": "One text.", "documents": "Any number of texts.", "model": TEXTS["model"]},
    keywords=RerankOptions,
    outputs=lambda given: ("index", "score"),
    decode=_decode,
    split="document",
    shared="query",
    gather=_gather,
)
RERANK = replace(
    RERANK,
    also=(
        replace(
            RERANK,
            task=LATE_INTERACTION,
            always={"rank": True},
            decode=_decode_sides,
            shared_first=True,
        ),
    ),
)
