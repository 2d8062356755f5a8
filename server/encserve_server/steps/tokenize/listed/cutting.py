"""How SentencePiece cuts a text: into the likeliest pieces, or by joining neighbours, best first."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Mapping
from typing import Protocol

_UNKNOWN_PENALTY = 10.0
"""By how much a character that no piece has is less likely than the least likely piece."""


class Cut(Protocol):
    """One way to cut a text."""

    def __call__(self, text: str) -> list[str]:
        """Return the pieces of a text; unknown characters that follow each other may be several."""


class Likeliest:
    """The pieces whose scores (log probabilities) together are the highest.

    Sums are rounded to 32 bits where they are kept, and not where they are compared, as SentencePiece does: which of
    two ways to cut a text that are as likely is taken hangs on that.
    """

    def __init__(self, scores: Mapping[str, float]) -> None:
        self._scores = dict(scores)
        self._beginnings = {piece[:size] for piece in scores for size in range(1, len(piece))}
        unknown = array("f", [min(scores.values()) - _UNKNOWN_PENALTY])
        self._unknown = unknown[0]

    def __call__(self, text: str) -> list[str]:
        """Return the pieces of a text."""
        size = len(text)
        best, begins = array("f", bytes(4 * (size + 1))), [-1] * (size + 1)
        scores, beginnings = self._scores, self._beginnings
        for begin in range(size):
            until, single = best[begin], False
            for end in range(begin + 1, size + 1):
                piece = text[begin:end]
                score = scores.get(piece)
                if score is not None:
                    single = single or end == begin + 1
                    if begins[end] < 0 or score + until > best[end]:
                        best[end], begins[end] = score + until, begin
                if piece not in beginnings:
                    break
            if not single and (begins[begin + 1] < 0 or self._unknown + until > best[begin + 1]):
                best[begin + 1], begins[begin + 1] = self._unknown + until, begin
        pieces, end = [], size
        while end:
            pieces.append(text[begins[end] : end])
            end = begins[end]
        return pieces[::-1]


class Joined:
    """Characters that are joined with their neighbours as long as that makes a piece, that of the highest score first,
    and of several the leftmost."""

    def __init__(self, scores: Mapping[str, float]) -> None:
        self._scores = dict(scores)

    def __call__(self, text: str) -> list[str]:
        """Return the pieces of a text."""
        parts = list(text)
        before, after = [*range(-1, len(parts) - 1)], [*range(1, len(parts)), -1]
        waiting: list[tuple[float, int, int, int]] = []

        def consider(left: int, right: int) -> None:
            if left >= 0 and right >= 0:
                piece = parts[left] + parts[right]
                if (score := self._scores.get(piece)) is not None:
                    heapq.heappush(waiting, (-score, left, right, len(piece)))

        for right in range(1, len(parts)):
            consider(right - 1, right)
        while waiting:
            _, left, right, size = heapq.heappop(waiting)
            if not parts[left] or not parts[right] or len(parts[left]) + len(parts[right]) != size:
                continue  # one of them was joined with another meanwhile
            parts[left] += parts[right]
            parts[right] = ""
            after[left] = after[right]
            if after[right] >= 0:
                before[after[right]] = left
            consider(before[left], left)
            consider(left, after[left])
        return [part for part in parts if part]
