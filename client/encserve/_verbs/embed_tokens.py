"""`embed_tokens`: one vector for each token of texts."""

from collections.abc import Mapping

import numpy as np

from encserve._call import Verb
from encserve._messages import Parameter
from encserve._pipeline import PipelineInfo
from encserve._protocol import TRUNCATIONS, AnswerReader, flag, given, nothing, one_of, positive, text_option
from encserve._results import TokenEmbeddings


def embed_tokens_options(
    *, truncate: str | None, prompt_name: str | None, dimensions: int | None, normalize: bool | None
) -> dict[str, Parameter]:
    """The request parameters. Raises InvalidInput."""
    return given(
        {
            "truncate": one_of("truncate", truncate, TRUNCATIONS),
            "prompt_name": text_option("prompt_name", prompt_name),
            "dimensions": positive("dimensions", dimensions),
            "normalize": flag("normalize", normalize),
        }
    )


def _decode(answer: AnswerReader) -> TokenEmbeddings:
    common = answer.common()
    ends = np.cumsum(common["token_counts"])
    columns = int(answer.options.get("dimensions") or answer.pipeline.dimensions)
    return TokenEmbeddings(
        vectors=np.split(answer.array("embedding", np.float32, (int(ends[-1]), columns)), ends[:-1]),
        offsets=np.split(answer.array("offsets", np.int32, (int(ends[-1]), 2)), ends[:-1]),
        **common,
    )


def _nothing(pipeline: PipelineInfo, options: Mapping[str, Parameter]) -> TokenEmbeddings:
    return TokenEmbeddings(vectors=[], offsets=[], **nothing(pipeline))


EMBED_TOKENS = Verb(
    name="embed_tokens",
    task="token-embedding",
    outputs=("embedding", "offsets"),
    decode=_decode,
    nothing=_nothing,
)
