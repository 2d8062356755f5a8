"""What the scores of tokens are changed by before one is chosen, as transformers does it and in its order.

A score is a logit, or with beams the logarithm of a probability.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Which tokens may come where in one text."""

    ends: tuple[int, ...]
    """The tokens that end a text."""
    start: int = 0
    """The token before the first one, which counts among those that were there."""
    first: int | None = None
    """The first token, where it is no choice: that of a language, or one with which all texts begin."""
    last: tuple[int, ...] = ()
    """The tokens of which one is the last of a text that has all the tokens that it may have; any without them."""
    never: tuple[int, ...] = ()
    """Tokens that never come."""
    min_new_tokens: int = 0
    """So many tokens come before one that ends the text."""
    repetition_penalty: float = 1.0
    """By what the score of a token that was there is divided, or multiplied where it is negative."""
    no_repeat_ngram_size: int = 0
    """No so many tokens in a row come twice; 0 lets them."""
    renormalizes: bool = False
    """Whether with beams the scores become logarithms of probabilities again, after the others. What is likelier
    than another stays it, so that for one hypothesis it changes nothing."""

    def forced(self, made: Sequence[int], most: int) -> tuple[int, ...]:
        """Return the tokens of which one comes after those that were `made`, of `most` that there may be, whatever the
        other rules say; none where any may."""
        if self.last and len(made) == most - 1:
            return self.last
        return () if self.first is None or made else (self.first,)

    def banned(self, made: Sequence[int]) -> list[int]:
        """Return the tokens that do not come after those that were `made`, whatever their scores."""
        banned = list(self.never)
        if len(made) < self.min_new_tokens:
            banned += self.ends
        if self.no_repeat_ngram_size:
            banned += _after_same([self.start, *made], self.no_repeat_ngram_size - 1)
        return banned

    def applied(self, scores: NDArray[np.float32], made: Sequence[int], most: int) -> NDArray[np.float32]:
        """Return the scores (V,) of the token after those that were `made`, of `most` that there may be: the same array
        where nothing changes."""
        if forced := self.forced(made, most):
            only = np.full_like(scores, -np.inf)
            only[list(forced)] = 0.0
            return only
        banned = self.banned(made)
        if self.repetition_penalty == 1.0 and not banned:
            return scores
        scores = scores.copy()
        if self.repetition_penalty != 1.0:
            seen = np.unique([self.start, *made])
            of_seen = scores[seen]
            penalty = self.repetition_penalty
            scores[seen] = np.where(of_seen < 0, of_seen * penalty, of_seen / penalty)
        scores[banned] = -np.inf
        return scores


def _after_same(tokens: Sequence[int], count: int) -> list[int]:
    """Return the tokens that came after the same `count` tokens as the last ones."""
    if len(tokens) < count:
        return []
    last = list(tokens[len(tokens) - count :])
    return [tokens[at + count] for at in range(len(tokens) - count) if list(tokens[at : at + count]) == last]


def rules_in(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the settings of a step say of all its texts, as arguments of `Rules`."""
    return {
        "ends": tuple(settings["end_tokens"]),
        "start": settings["start_token"],
        "first": settings["first_token"],
        "last": tuple(settings["last_tokens"]),
        "never": tuple(settings["never_tokens"]),
        "renormalizes": settings["renormalizes"],
    }
