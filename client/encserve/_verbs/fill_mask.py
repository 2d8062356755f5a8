"""`fill_mask`: the likeliest tokens for the masks of texts."""

from collections.abc import Mapping

import numpy as np

from encserve._call import Verb
from encserve._messages import Parameter
from encserve._pipeline import PipelineInfo
from encserve._protocol import TRUNCATIONS, AnswerReader, given, nothing, one_of, positive
from encserve._results import Fill, MaskFills


def fill_mask_options(*, truncate: str | None, top_k: int | None) -> dict[str, Parameter]:
    """The request parameters. Raises InvalidInput."""
    return given({"truncate": one_of("truncate", truncate, TRUNCATIONS), "top_k": positive("top_k", top_k)})


def _decode(answer: AnswerReader) -> MaskFills:
    counts = answer.array("mask_count", np.int32, (answer.rows,))
    top_k = int(answer.options.get("top_k") or answer.pipeline.option_defaults["top_k"])
    shape = (int(counts.sum()), top_k)
    masks = zip(
        answer.strings("token", shape),
        answer.array("token_id", np.int32, shape).tolist(),
        answer.array("score", np.float32, shape).tolist(),
        strict=True,
    )
    return MaskFills(
        masks=[[[Fill(*fill) for fill in zip(*next(masks), strict=True)] for _ in range(count)] for count in counts],
        **answer.common(),
    )


def _nothing(pipeline: PipelineInfo, options: Mapping[str, Parameter]) -> MaskFills:
    return MaskFills(masks=[], **nothing(pipeline))


FILL_MASK = Verb(
    name="fill_mask",
    task="fill-mask",
    outputs=("mask_count", "token", "token_id", "score"),
    decode=_decode,
    nothing=_nothing,
)
