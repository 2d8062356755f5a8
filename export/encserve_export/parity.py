"""The figures of a certificate: what an encode step gives, against what the checkpoint gives. No torch, no network.

At export the encode step runs in this process; `encserve verify` asks a running server for the same figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .limits import ParityLimits

_COMPANY = 31  # texts beside each one, for the check that neighbours do not matter
_COMPANY_PLACES = (_COMPANY + 1) * 512**2  # in the attention of one head; where texts are longer, fewer keep company
_BESIDE_LONGEST = 8  # texts that are also run beside a text of the maximum length
_TIE = 1e-4  # logits this close, relative to the largest, are equally high
_SCANNED_LENGTHS = 48  # from 1 token to the maximum, evenly in their logarithm

Rows: TypeAlias = NDArray[np.float32]  # (rows, W)
Scale: TypeAlias = Callable[[Rows], NDArray[np.float64]]
ScaledText: TypeAlias = Callable[[int, Rows], NDArray[np.float64]]
"""From the number of a text and its rows to what is compared of them."""
Text: TypeAlias = dict[str, NDArray[np.int64]]
"""What one row of tokens gives to the graph, by input."""


class Encoder(Protocol):
    """What is measured."""

    def encode(self, texts: Sequence[Text]) -> list[Rows]:
        """Rows (r, W) of each text, batched as requests are."""

    def encode_pack(self, texts: Sequence[Text]) -> list[Rows]:
        """Rows (r, W) of each text, all of them in company of each other."""


@dataclass(frozen=True)
class Figure:
    """One measured number and what it is held to."""

    name: str
    measured: float
    limit: float
    at_least: bool = False
    worst_text: int | None = None

    @property
    def holds(self) -> bool:
        """Whether the limit is kept. A NaN keeps none."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def complaint(self, token_counts: Sequence[int] = (), shown: Sequence[str] = ()) -> str:
        """The number, the limit and the worst text, in words; `shown` has the beginning of each text."""
        bound = "at least" if self.at_least else "at most"
        where = ""
        if self.worst_text is not None:
            where = f"; worst is text {self.worst_text} of {token_counts[self.worst_text]} tokens"
            where += f": {shown[self.worst_text]}" if shown else ""
        return f"{self.name} is {self.measured:.3g}, must be {bound} {self.limit:g}{where}"


@dataclass(frozen=True, kw_only=True)
class Parity:
    """What was measured."""

    figures: list[Figure]
    token_counts: list[int]
    lengths_scanned: list[int]
    max_abs_diff_by_text: list[float]
    """NaN where a row is not finite."""

    def complaints(self, shown: Sequence[str] = ()) -> list[str]:
        """The figures that miss their limits, in words; `shown` has the beginning of each text."""
        return [figure.complaint(self.token_counts, shown) for figure in self.figures if not figure.holds]


def measure(
    encoder: Encoder,
    texts: Sequence[Text],
    expected: Sequence[Rows],
    *,
    logits: bool,
    limits: ParityLimits,
    max_length: int,
    read: Sequence[list[int]] | None = None,
) -> Parity:
    """Compare what `encoder` gives for `texts` with the `expected` rows (r, W) of each; `logits` or vectors.

    Of each text only the rows `read` are compared, where they are given.
    """

    def read_of(index: int, rows: Rows) -> Rows:
        return rows if read is None else rows[read[index]]

    scale = _scale_of(np.concatenate([read_of(index, rows) for index, rows in enumerate(expected)]), logits)

    def scaled(index: int, rows: Rows) -> NDArray[np.float64]:
        return scale(read_of(index, rows))

    reference = [scaled(index, rows) for index, rows in enumerate(expected)]
    together = [scaled(index, rows) for index, rows in enumerate(encoder.encode(texts))]
    alone = [scaled(index, encoder.encode_pack([text])[0]) for index, text in enumerate(texts)]
    longest = max(range(len(texts)), key=lambda index: len(texts[index]["input_ids"]))
    company = _company_difference(encoder, texts, alone, longest, scaled)
    scanned = sorted({round(length) for length in np.geomspace(1, max_length, _SCANNED_LENGTHS)})
    nonfinite = _nonfinite_lengths(encoder, scanned, texts[longest])

    difference = np.array([np.abs(a - b).max(initial=0) for a, b in zip(together, reference, strict=True)])
    agreement = _argmax_agreement if logits else _cosine
    return Parity(
        figures=[
            *agreement(together, reference, limits),
            Figure("max_abs_diff", float(difference.max()), limits.max_abs_diff, worst_text=int(difference.argmax())),
            Figure(
                "company_max_abs_diff",
                float(company.max()),
                limits.company_max_abs_diff,
                worst_text=int(company.argmax()),
            ),
            Figure("nonfinite_lengths", len(nonfinite), 0),
        ],
        token_counts=[len(text["input_ids"]) for text in texts],
        lengths_scanned=scanned,
        max_abs_diff_by_text=[float(f"{value:.3g}") for value in difference],
    )


def _cosine(
    rows: Sequence[NDArray[np.float64]], reference: Sequence[NDArray[np.float64]], limits: ParityLimits
) -> list[Figure]:
    """The smallest cosine, and the mean."""
    each = [np.einsum("rw,rw->r", a, b) for a, b in zip(rows, reference, strict=True)]  # (r,) of each text
    smallest = [float(values.min(initial=1)) for values in each]
    worst = int(np.argmin(smallest))
    mean = float(np.concatenate(each).mean())
    return [
        Figure("cosine_min", smallest[worst], limits.cosine_min, at_least=True, worst_text=worst),
        Figure("cosine_mean", mean, limits.cosine_mean, at_least=True, worst_text=worst),
    ]


def _argmax_agreement(
    rows: Sequence[NDArray[np.float64]], reference: Sequence[NDArray[np.float64]], limits: ParityLimits
) -> list[Figure]:
    """The share of the rows of all texts whose highest column is the reference's highest."""
    agreed = []
    for ours, theirs in zip(rows, reference, strict=True):
        chosen = np.take_along_axis(theirs, ours.argmax(1)[:, None], 1)[:, 0]
        agreed.append(theirs.max(1) - chosen <= _TIE)  # (r,)
    worst = int(np.argmin([values.mean() if len(values) else 1.0 for values in agreed]))
    share = float(np.concatenate(agreed).mean())
    return [Figure("argmax_agreement", share, limits.argmax_agreement, at_least=True, worst_text=worst)]


def _company_difference(
    encoder: Encoder, texts: Sequence[Text], alone: Sequence[NDArray[np.float64]], longest: int, scaled: ScaledText
) -> NDArray[np.float64]:
    """Largest difference (n,) of each text's rows alone and in company: among others of all lengths, and beside a text
    of the maximum length."""
    order = np.random.default_rng(0).permutation(len(texts)).tolist()
    size = min(_COMPANY + 1, max(2, _COMPANY_PLACES // len(texts[longest]["input_ids"]) ** 2))
    groups = [order[begin : begin + size] for begin in range(0, len(order), size)]
    groups += [[index, longest] for index in order[:_BESIDE_LONGEST]]
    worst = np.zeros(len(texts))
    for group in groups:
        for index, rows in zip(group, encoder.encode_pack([texts[index] for index in group]), strict=True):
            worst[index] = np.maximum(worst[index], np.abs(scaled(index, rows) - alone[index]).max(initial=0))
    return worst


def _nonfinite_lengths(encoder: Encoder, lengths: Sequence[int], longest: Text) -> list[int]:
    """Which of `lengths`, in tokens, give a row with NaN or infinity."""
    texts = [cut_to(longest, length) for length in lengths]
    rows = encoder.encode(texts)
    return [length for length, row in zip(lengths, rows, strict=True) if not np.isfinite(row).all()]


def cut_to(text: Text, length: int) -> Text:
    """The first `length` tokens of a text, repeated where it is shorter."""
    return {name: values if name == "mask_at" else np.resize(values, length) for name, values in text.items()}


def _scale_of(reference: Rows, logits: bool) -> Scale:
    """What makes rows of any checkpoint comparable: vectors to length 1, logits to the largest of the reference."""
    if not logits:
        return unit
    largest = max(float(np.abs(reference).max()), 1e-12)
    return lambda rows: _wide(rows) / largest


def _wide(rows: Rows) -> NDArray[np.float64]:
    """In double precision, with NaN for infinity: both miss every limit, and differences of NaN raise no warning."""
    wide = rows.astype(np.float64)
    return np.where(np.isfinite(wide), wide, np.nan)


def unit(vectors: Rows) -> NDArray[np.float64]:
    """Vectors scaled to length 1."""
    wide = _wide(vectors)
    return np.divide(wide, np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))
