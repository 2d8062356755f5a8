"""`rerank`: the documents that answer a query best."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np

from encserve._errors import InvalidInput
from encserve._pipeline import PipelineInfo
from encserve._results import Gather, Ranking, TokenEmbeddings, join
from encserve._verbs.answers import AnswerReader
from encserve._verbs.options import AdapterOption, CallOptions, TruncateOption
from encserve._verbs.verb import LATE_INTERACTION, TEXTS, Given, Verb

DocumentVectors = Literal["float32", "float16", "int8", "binary"]


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
    document_vectors: DocumentVectors | None
    """Of pipelines of late interaction, of what type the numbers are where a document is no text but the vectors of its
    tokens that were kept: base64 of the numbers, vector after vector, lowest byte first. "int8" and "binary" are scored
    as vectors of length 1. Arrays say their type themselves."""
    dimensions: int | None
    """Of pipelines of late interaction, how many numbers of each vector are scored, for models that were trained for
    it; vectors that were kept have so many. All without it."""


_KEPT = "document_vectors"


class _Merged:
    """The best of each request's best. Raises InvalidInput where another version answers than documents are `by`."""

    def __init__(self, top_k: int | None, by: TokenEmbeddings | None) -> None:
        self._top_k = top_k
        self._by = by
        self._parts: list[Ranking] = []

    def put(self, part: Ranking) -> None:
        """Keep a part."""
        if self._by is not None and (by := (self._by.model, self._by.version)) != (part.model, part.version):
            raise InvalidInput(
                f"the documents are by {by[0]} version {by[1]}, and {part.model} version {part.version} answers: their "
                "vectors do not compare"
            )
        self._parts.append(part)

    @property
    def whole(self) -> Ranking | None:
        """One order of all documents; equal scores keep the order of the call."""
        if not self._parts:
            return None
        joined = join(self._parts)
        order = np.argsort(-joined.scores, kind="stable")[: self._top_k]
        return replace(joined, indices=joined.indices[order], scores=joined.scores[order])


def _gather(rows: int, given: Given, *, by: TokenEmbeddings | None = None) -> Gather[Ranking]:
    top_k = given.get("top_k")
    return _Merged(None if top_k is None else int(top_k), by)


def _decode(answer: AnswerReader) -> Ranking:
    count = min(answer.rows, int(answer.given.get("top_k") or answer.rows))
    return Ranking(
        indices=answer.array("index", np.int32, (count,)) + np.int32(answer.start),
        scores=answer.array("score", np.float32, (count,)),
        **answer.common(),
    )


def _decode_sides(answer: AnswerReader) -> Ranking:
    """The counts of a document are those of its own tokens, none where its vectors were kept, and of its query's, as
    where both are read as one."""
    count, is_kept = min(answer.rows, int(answer.given.get("top_k") or answer.rows)), _KEPT in answer.given
    texts = replace(answer, rows=1 if is_kept else answer.rows + 1) if answer.rows else answer
    common = texts.common()
    for name in ("token_counts", "dropped_counts"):
        query, documents = common[name][:1], common[name][1:]
        if is_kept:
            documents = np.zeros(answer.rows, np.int32)
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
    with a vector of the document. Of documents whose vectors were kept it computes no vector again.
    """,
    arguments={
        "query": "One text.",
        "documents": "Any number of texts. Of pipelines of late interaction also what `embed_tokens` gave of them, or "
        "for each an array (tokens, dim) of it: float32, float16 or int8, or bits in uint8 (tokens, dim / 8).",
        "model": TEXTS["model"],
    },
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


def of_kept(columns: int | None = None, by: TokenEmbeddings | None = None) -> Verb[Ranking]:
    """The verb about documents whose vectors were kept: in arrays of so many columns, or None where they are base64,
    and made `by` a version, where that is known."""
    # A candidate that is drawn by chance would score vectors of another version.
    return replace(RERANK, compared=True, fits=partial(_fits, columns), gather=partial(_gather, by=by))


def _fits(columns: int | None, pipeline: PipelineInfo, given: Given) -> None:
    if _KEPT not in pipeline.option_defaults:
        raise InvalidInput(
            f"{pipeline.name!r} ranks texts of documents, and no vectors that were kept: it is for {pipeline.task}, or "
            "was exported before they could be given",
            model=pipeline.name,
        )
    width = int(given.get("dimensions") or pipeline.dimensions)
    expected = -(-width // 8) if given[_KEPT] == "binary" else width
    if columns not in (None, expected):
        raise InvalidInput(
            f"the documents have vectors of {columns} columns, and {pipeline.name!r} compares those of {expected}: "
            "dimensions says where they were shortened",
            model=pipeline.name,
        )
