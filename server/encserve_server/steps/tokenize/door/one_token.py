"""The smallest request to an encode step: one text of one token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def one_token(inputs: Sequence[str], mask_id: int | None) -> dict[str, NDArray[np.int64]]:
    """Return the `inputs` of an encode step, each int64 of shape (1, 1).

    Where the step is asked for the logits of masks, the token is one, `mask_id`: a batch gives its rows to the masks
    among its tokens in their order, so a request that has fewer of them than it says would take another's.
    """
    token = mask_id if "mask_at" in inputs else 0  # which is in every vocabulary
    values = {"input_ids": token, "lengths": 1, "attention_mask": 1, "pooling_mask": 1}
    return {name: np.array([[values.get(name, 0)]], np.int64) for name in inputs}
