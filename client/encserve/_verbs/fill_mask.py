"""`fill_mask`: the likeliest tokens for the masks of texts."""

from __future__ import annotations

import numpy as np

from encserve._results import Fill, MaskFills
from encserve._verbs.answers import AnswerReader
from encserve._verbs.options import AdapterOption, CallOptions, TruncateOption
from encserve._verbs.verb import TEXTS, Verb


class FillMaskOptions(TruncateOption, AdapterOption, CallOptions, total=False):
    """The keywords of `fill_mask`."""

    top_k: int | None
    """How many tokens for each mask; five without it."""


def _decode(answer: AnswerReader) -> MaskFills:
    counts = answer.array("mask_count", np.int32, (answer.rows,))
    shape = (int(counts.sum()), answer.option("top_k", 5))
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


FILL_MASK = Verb(
    name="fill_mask",
    task="fill-mask",
    about="""Find the likeliest tokens for the masks of texts, highest score first.

    `PipelineInfo.mask_token` says how a text writes a mask.
    """,
    arguments=TEXTS,
    keywords=FillMaskOptions,
    outputs=lambda given: ("mask_count", "token", "token_id", "score"),
    decode=_decode,
)
