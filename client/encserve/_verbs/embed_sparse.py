"""`embed_sparse`: texts to weighted tokens of the vocabulary."""

from collections.abc import Mapping

import numpy as np

from encserve._call import Verb
from encserve._messages import Parameter
from encserve._pipeline import PipelineInfo
from encserve._protocol import TRUNCATIONS, AnswerReader, given, nothing, one_of, positive
from encserve._results import SparseEmbeddings


def embed_sparse_options(*, truncate: str | None, top_k: int | None) -> dict[str, Parameter]:
    """The request parameters. Raises InvalidInput."""
    return given({"truncate": one_of("truncate", truncate, TRUNCATIONS), "top_k": positive("top_k", top_k)})


def _decode(answer: AnswerReader) -> SparseEmbeddings:
    ends = np.cumsum(answer.array("term_count", np.int32, (answer.rows,)))
    return SparseEmbeddings(
        token_ids=np.split(answer.array("token_id", np.int32, (int(ends[-1]),)), ends[:-1]),
        weights=np.split(answer.array("weight", np.float32, (int(ends[-1]),)), ends[:-1]),
        **answer.common(),
    )


def _nothing(pipeline: PipelineInfo, options: Mapping[str, Parameter]) -> SparseEmbeddings:
    return SparseEmbeddings(token_ids=[], weights=[], **nothing(pipeline))


EMBED_SPARSE = Verb(
    name="embed_sparse",
    task="sparse-embedding",
    outputs=("term_count", "token_id", "weight"),
    decode=_decode,
    nothing=_nothing,
)
