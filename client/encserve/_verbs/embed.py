"""`embed`: texts to vectors."""

from collections.abc import Mapping

import numpy as np

from encserve._call import Verb
from encserve._messages import Parameter
from encserve._pipeline import PipelineInfo
from encserve._protocol import TRUNCATIONS, AnswerReader, flag, given, nothing, one_of, positive, text_option
from encserve._results import EmbeddingRows, Embeddings


def embed_options(
    *, truncate: str | None, prompt_name: str | None, dimensions: int | None, normalize: bool | None
) -> dict[str, Parameter]:
    """The request parameters.

    Raises:
        InvalidInput: an option has the wrong type or an impossible value.
    """
    return given(
        {
            "truncate": one_of("truncate", truncate, TRUNCATIONS),
            "prompt_name": text_option("prompt_name", prompt_name),
            "dimensions": positive("dimensions", dimensions),
            "normalize": flag("normalize", normalize),
        }
    )


def _dimensions(pipeline: PipelineInfo, options: Mapping[str, Parameter]) -> int:
    """The length of the vectors that a pipeline answers with, under these options."""
    return int(options.get("dimensions") or pipeline.option_defaults.get("dimensions") or pipeline.dimensions)


def _decode(answer: AnswerReader) -> Embeddings:
    shape = (answer.rows, _dimensions(answer.pipeline, answer.options))
    return Embeddings(vectors=answer.array("embedding", np.float32, shape), **answer.common())


def _nothing(pipeline: PipelineInfo, options: Mapping[str, Parameter]) -> Embeddings:
    return Embeddings(vectors=np.empty((0, _dimensions(pipeline, options)), np.float32), **nothing(pipeline))


EMBED = Verb(
    name="embed",
    task="feature-extraction",
    outputs=("embedding",),
    decode=_decode,
    nothing=_nothing,
    gather=EmbeddingRows,
)
