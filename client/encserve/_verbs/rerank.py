"""`rerank`: the documents that answer a query best."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from encserve._call import Verb
from encserve._messages import Parameter
from encserve._pipeline import PipelineInfo
from encserve._protocol import TRUNCATIONS, AnswerReader, given, nothing, one_of, positive
from encserve._results import Parts, Ranking, join


def rerank_options(*, truncate: str | None, top_k: int | None) -> dict[str, Parameter]:
    """The request parameters. Raises InvalidInput."""
    return given({"truncate": one_of("truncate", truncate, TRUNCATIONS), "top_k": positive("top_k", top_k)})


class _Merged(Parts):
    """The best of each request's best."""

    def __init__(self, rows: int, *, top_k: int | None) -> None:
        super().__init__(rows)
        self._top_k = top_k

    @property
    def whole(self) -> Ranking | None:
        """One order of all documents; equal scores keep the order of the call."""
        if not self._parts:
            return None
        joined: Ranking = join(self._parts)
        order = np.argsort(-joined.scores, kind="stable")[: self._top_k]
        return replace(joined, indices=joined.indices[order], scores=joined.scores[order])


def _decode(answer: AnswerReader) -> Ranking:
    count = min(answer.rows, int(answer.options.get("top_k") or answer.rows))
    return Ranking(
        indices=answer.array("index", np.int32, (count,)) + np.int32(answer.start),
        scores=answer.array("score", np.float32, (count,)),
        **answer.common(),
    )


def _nothing(pipeline: PipelineInfo, options: Mapping[str, Parameter]) -> Ranking:
    return Ranking(indices=np.empty(0, np.int32), scores=np.empty(0, np.float32), **nothing(pipeline))


def rerank_verb(top_k: int | None) -> Verb[Ranking]:
    """The verb whose answer holds `top_k` documents."""
    return Verb(
        name="rerank",
        task="text-ranking",
        outputs=("index", "score"),
        decode=_decode,
        nothing=_nothing,
        split="document",
        shared="query",
        gather=partial(_Merged, top_k=top_k),
    )
