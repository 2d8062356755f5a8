"""`embed`: texts to vectors."""

from collections.abc import Mapping

import numpy as np

from encserve._call import Verb
from encserve._messages import Parameter
from encserve._pipeline import PipelineInfo
from encserve._protocol import (
    TRUNCATIONS,
    AnswerReader,
    flag,
    given,
    nothing,
    one_of,
    positive,
    text_option,
    window_options,
)
from encserve._results import EmbeddingRows, Embeddings

OUTPUTS: dict[str, tuple[str, type[np.generic]]] = {
    "float32": ("embedding", np.float32),
    "int8": ("embedding_int8", np.int8),
    "binary": ("embedding_binary", np.uint8),
}
"""Value of `output_dtype` -> the tensor that has the vectors then, and its type."""


def embed_options(
    *,
    truncate: str | None,
    prompt_name: str | None,
    dimensions: int | None,
    normalize: bool | None,
    output_dtype: str | None,
    long_text: str | None,
    overlap: int | None,
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
            "output_dtype": one_of("output_dtype", output_dtype, tuple(OUTPUTS)),
            **window_options(long_text=long_text, overlap=overlap),
        }
    )


def embed_verb(output_dtype: str | None) -> Verb[Embeddings]:
    """The verb whose vectors have this type."""
    output_dtype = output_dtype or "float32"
    tensor, dtype = OUTPUTS[output_dtype]

    def columns(pipeline: PipelineInfo, options: Mapping[str, Parameter]) -> int:
        full = options.get("dimensions") or pipeline.option_defaults.get("dimensions") or pipeline.dimensions
        return -(-int(full) // 8) if output_dtype == "binary" else int(full)

    def decode(answer: AnswerReader) -> Embeddings:
        shape = (answer.rows, columns(answer.pipeline, answer.options))
        return Embeddings(vectors=answer.array(tensor, dtype, shape), **answer.common())

    def empty(pipeline: PipelineInfo, options: Mapping[str, Parameter]) -> Embeddings:
        return Embeddings(vectors=np.empty((0, columns(pipeline, options)), dtype), **nothing(pipeline))

    return Verb(
        name="embed",
        task="feature-extraction",
        outputs=(tensor,),
        decode=decode,
        nothing=empty,
        gather=EmbeddingRows,
    )
