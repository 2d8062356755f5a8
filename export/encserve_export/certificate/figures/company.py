"""What a text may not depend on: the texts beside it; and what no length may give: NaN or infinity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .agreement import wide_of
from .parity import Rows, Text, unit

_COMPANY = 31  # how many texts are beside each one where it is checked that they do not matter
_COMPANY_PLACES = (_COMPANY + 1) * 512**2  # scores of one head; where texts are longer, fewer keep company
_BESIDE_LONGEST = 8  # how many texts are also run beside one of the maximum length
_SCANNED_LENGTHS = 48  # how many, from 1 token to the maximum, evenly in their logarithm

Scale: TypeAlias = Callable[[Rows], NDArray[np.float64]]
"""Brings rows to a size at which those of all checkpoints can be compared."""


class Encoder(Protocol):
    """The encode step that is measured."""

    def encode(self, texts: Sequence[Text]) -> list[Rows]:
        """Rows (r, W) of each text, each in a request of its own; the requests wait together."""

    def encode_together(self, texts: Sequence[Text]) -> list[Rows]:
        """Rows (r, W) of each text, several in a request; the requests wait together."""


def scale_of(largest: float | None) -> Scale:
    """Vectors are scaled to length 1, logits to the `largest` of the library's."""
    return _unit_vectors if largest is None else lambda rows: wide_of(rows) / largest


def _unit_vectors(rows: Rows) -> NDArray[np.float64]:
    """Rows of one number each, as weights of tokens, are one vector together: alone only their signs would be left."""
    return unit(rows.T).T if rows.shape[1] == 1 else unit(rows)


def company_differences(encoder: Encoder, texts: Sequence[Text], scale: Scale) -> list[float]:
    """The largest difference of each text's rows alone and in company: among others of all lengths, and beside the
    longest. The others are in its own request and in another, since an engine may take one request at a time."""
    longest = max(range(len(texts)), key=lambda index: len(texts[index]["input_ids"]))
    alone = [scale(encoder.encode([text])[0]) for text in texts]
    order = np.random.default_rng(0).permutation(len(texts)).tolist()
    size = min(_COMPANY + 1, max(2, _COMPANY_PLACES // len(texts[longest]["input_ids"]) ** 2))
    groups = [order[begin : begin + size] for begin in range(0, len(order), size)]
    groups += [[index, longest] for index in order[:_BESIDE_LONGEST]]
    worst = np.zeros(len(texts))
    for group in groups:
        for index, rows in zip(group, encoder.encode_together([texts[index] for index in group]), strict=True):
            worst[index] = np.maximum(worst[index], np.abs(scale(rows) - alone[index]).max(initial=0))
    return worst.tolist()  # type: ignore[no-any-return]


def scanned_lengths(max_length: int) -> list[int]:
    """Lengths in tokens, each of another order of size."""
    return sorted({round(length) for length in np.geomspace(1, max_length, _SCANNED_LENGTHS)})


def nonfinite_lengths(encoder: Encoder, lengths: Sequence[int], longest: Text) -> list[int]:
    """Which of `lengths`, in tokens, give a row with NaN or infinity."""
    rows = encoder.encode([cut_to(longest, length) for length in lengths])
    return [length for length, row in zip(lengths, rows, strict=True) if not np.isfinite(row).all()]


def cut_to(text: Text, length: int) -> Text:
    """The first `length` tokens of a text, repeated where it is shorter; of one with masks the last is one, where the
    others are none. A mask alone is no text: ESM divides by the share of what is not masked."""
    cut = {name: np.resize(values, length) for name, values in text.items() if name != "mask_at"}
    if "mask_at" in text:
        masks = text["input_ids"][text["mask_at"][:1]]
        if len(masks) and length > 1 and masks[0] not in cut["input_ids"]:
            cut["input_ids"][-1] = masks[0]
        cut["mask_at"] = np.flatnonzero(np.isin(cut["input_ids"], masks))
    return cut
