"""How many texts a fleet is asked again, and what memory of their answers would spare: of each replica alone, and of
all together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_NEAR = 0.9
"""The share of repeats that `within_texts` holds."""


@dataclass(frozen=True, kw_only=True)
class Spared:
    """What need not be computed where answers are remembered for ever."""

    texts: float
    """Share of the texts."""
    bytes: float
    """Share of their UTF-8 bytes, which tokens follow more or less."""


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """What a trace says. The longer it is, the more repeats it has: these figures are those of its length."""

    source: str
    texts: int
    distinct: int
    replicas: int
    alone: Spared
    """What replicas spare that remember each for itself, where each request goes to any of them by chance."""
    together: Spared
    """What a memory spares that they share."""
    within_texts: int
    """So many texts lie, at most, between `MOST_NEAR` of the repeats and the same text before; 0 without repeats."""

    @property
    def gained(self) -> Spared:
        """What the shared memory spares beyond those of the replicas."""
        return Spared(texts=self.together.texts - self.alone.texts, bytes=self.together.bytes - self.alone.bytes)


def count_repeats(
    source: str, texts: NDArray[np.int64], sizes: NDArray[np.int64], *, replicas: int, texts_per_request: int
) -> Repeats:
    """Count the repeats of a trace.

    Args:
        source: Where it comes from.
        texts: A number for each text, equal where the texts are, in the order in which they came, (n,).
        sizes: Their UTF-8 bytes, (n,).
        replicas: Among which requests are spread.
        texts_per_request: So many texts in a row are a request, and go to one replica.
    """
    chances = np.zeros(len(texts))
    repeated = np.zeros(len(texts), bool)
    gaps = []
    requests_with: dict[int, int] = {}
    last_request: dict[int, int] = {}
    last_place: dict[int, int] = {}
    for place, text in enumerate(texts.tolist()):
        request = place // texts_per_request
        if text in last_place:
            repeated[place] = True
            gaps.append(place - last_place[text])
            if last_request[text] == request:
                chances[place] = 1  # wherever the request goes, the text is there twice
            else:  # one of the earlier requests with it has gone to the same replica
                chances[place] = 1 - (1 - 1 / replicas) ** requests_with[text]
        if last_request.get(text) != request:
            requests_with[text] = requests_with.get(text, 0) + 1
            last_request[text] = request
        last_place[text] = place
    return Repeats(
        source=source,
        texts=len(texts),
        distinct=len(last_place),
        replicas=replicas,
        alone=_spared(chances, sizes),
        together=_spared(repeated, sizes),
        within_texts=int(np.quantile(gaps, MOST_NEAR, method="higher")) if gaps else 0,
    )


def _spared(shares: NDArray[np.float64] | NDArray[np.bool_], sizes: NDArray[np.int64]) -> Spared:
    total = int(sizes.sum())
    return Spared(texts=float(shares.mean()), bytes=float((shares * sizes).sum() / total) if total else 0.0)
