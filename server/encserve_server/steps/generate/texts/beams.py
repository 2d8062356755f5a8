"""Beam search of one text: several hypotheses go on side by side, and the best that ended becomes the text.

It is the search of transformers, step by step and in its numbers, float32, so that it finds what `generate` finds:
finished hypotheses are ranked by their score over a power of their length, and those that go on by their score alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .choice import Choice

_NOTHING = np.float32(-1e9)
"""The score of what is no hypothesis: less than any that goes on has, and more than what may not come."""
_NO_END = np.float32(-np.inf)
"""The score of the place of a hypothesis that has not ended yet: those of long ones may be less than any number by a
power of their length."""


@dataclass(frozen=True)
class _Finished:
    """A hypothesis that came to its end, or the place of one."""

    score: np.float32
    tokens: tuple[int, ...]
    is_there: bool


class Beams:
    """The hypotheses of one text."""

    def __init__(self, choice: Choice, most: int) -> None:
        """`most` are the tokens that the text may have."""
        self._choice, self._most = choice, most
        self.running: list[tuple[int, ...]] = [()] * choice.beams
        """The tokens of each hypothesis that goes on, the likeliest first."""
        self._scores: NDArray[np.float32] = np.full(choice.beams, _NOTHING)  # (K,)
        self._scores[0] = 0.0  # the others would begin as the same
        self._finished = [_Finished(_NO_END, (), False)] * choice.beams
        self.over = False
        """Whether no hypothesis goes on."""

    @property
    def best(self) -> tuple[int, ...]:
        """The tokens of the best hypothesis that has ended."""
        return self._finished[0].tokens

    def advance(self, logits: NDArray[np.float32]) -> NDArray[np.intp]:
        """Go on by one token, out of the logits (K, V) of each hypothesis. Returns which hypothesis each of those that
        go on now was before: (K,)."""
        beams, vocabulary = logits.shape
        following = _changed(self._choice, logits, self.running, self._most)  # (K, V)
        scores: NDArray[np.float32] = (self._scores[:, None] + following).ravel()
        kept = max(2, 1 + len(self._choice.ends)) * beams  # so that K go on, even where the best have ended
        likeliest = _highest(scores, kept)
        found: NDArray[np.float32] = scores[likeliest]
        parents, tokens = likeliest // vocabulary, likeliest % vocabulary
        made = [(*self.running[parent], int(token)) for parent, token in zip(parents, tokens, strict=True)]
        length = len(made[0])
        ended: NDArray[np.bool_] = np.isin(tokens, self._choice.ends) | (length >= self._most)

        going: NDArray[np.float32] = found + np.where(ended, _NOTHING, np.float32(0))
        onward = _highest(going, beams)
        self._finish(made[:beams], found[:beams], ended[:beams], length)
        self.running = [made[place] for place in onward]
        self._scores = going[onward]
        self.over = bool(ended.all()) or self._is_decided(length)
        return parents[onward]

    def _finish(
        self,
        made: Sequence[tuple[int, ...]],
        scores: NDArray[np.float32],
        ended: NDArray[np.bool_],
        length: int,
    ) -> None:
        """Keep the best of those that had ended before and of those among the K likeliest that end now."""
        ranked = scores / np.float32(length**self._choice.length_penalty)
        now = [
            _Finished(score, tokens, True)
            for score, tokens, has_ended in zip(ranked, made, ended, strict=True)
            if has_ended
        ]
        best = sorted([*self._finished, *now], key=lambda each: -each.score)  # the earlier first, of equal ones
        self._finished = best[: self._choice.beams]

    def _is_decided(self, length: int) -> bool:
        """Whether no hypothesis that goes on can be better than those that have ended, as far as is asked for."""
        if not all(each.is_there for each in self._finished):
            return False
        if self._choice.early_stopping is True:
            return True
        penalty = self._choice.length_penalty
        at = self._most if self._choice.early_stopping == "never" and penalty > 0 else length
        return not self._scores[0] / np.float32(at**penalty) > self._finished[-1].score


def log_probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logarithm of the probability of each token, (..., V), out of logits (..., V)."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))  # type: ignore[no-any-return]


def score_of(choice: Choice, tokens: Sequence[int], logits: NDArray[np.float32], most: int) -> float:
    """Return the score by which a hypothesis of these tokens is ranked, out of the logits (r, V) before each."""
    count = len(tokens)
    scores = _changed(choice, logits, [tokens[:at] for at in range(count)], most)
    total = scores[np.arange(count), tokens].sum(dtype=np.float64)
    return float(total / count**choice.length_penalty)


def _changed(
    choice: Choice, logits: NDArray[np.float32], hypotheses: Sequence[Sequence[int]], most: int
) -> NDArray[np.float32]:
    """Return the scores (n, V) of the token after each of n hypotheses, out of the logits (n, V) and by the rules."""
    steps = zip(log_probabilities(logits), hypotheses, strict=True)
    scores: NDArray[np.float32] = np.stack([choice.applied(each, made, most) for each, made in steps])
    return log_probabilities(scores) if choice.renormalizes else scores


def _highest(values: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Return the places of the `count` highest, the highest first, and of equal ones the first."""
    if count < len(values):
        least = np.partition(values, -count)[-count]
        above, equal = np.flatnonzero(values > least), np.flatnonzero(values == least)
        places = np.concatenate([above, equal[: count - len(above)]])
    else:
        places = np.arange(len(values))
    order: NDArray[np.intp] = places[np.lexsort((places, -values[places]))]
    return order
