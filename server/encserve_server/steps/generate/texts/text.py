"""One text that is being generated: its source, how its tokens are chosen, and what it has become."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .beams import Beams
from .choice import Choice
from .pieces import Pieces

EOS, STOP, LENGTH, CANCELLED, DEADLINE = "eos", "stop", "length", "cancelled", "deadline"
FINISHES = (EOS, STOP, LENGTH, CANCELLED, DEADLINE)
"""Why a text ended: by a token that was chosen, by a string of the request, by its greatest length, or because nobody
waits for it."""

Told: TypeAlias = Callable[["GeneratedText", str], None]
"""Takes a text and what is new of it; raises nothing."""


class NotFinite(Exception):
    """The network gave NaN or infinity for a text."""


@dataclass(frozen=True)
class Estimate:
    """How long a text takes from its arrival, as it was estimated then."""

    first_s: float
    """Seconds until its first token."""
    round_s: float
    """Seconds until each other."""

    def whole_s(self, tokens: int) -> float:
        """Seconds until it has so many."""
        return self.first_s + (tokens - 1) * self.round_s


@dataclass(kw_only=True, eq=False)
class GeneratedText:
    """A text on its way. The engine's thread alone changes it, but for `given_up`."""

    source: NDArray[np.int64]
    """The token ids (s,) that the encoder gets."""
    choice: Choice
    max_new_tokens: int
    pieces: Pieces
    tell: Told
    """Called with each new piece, and once more when the text has ended, from the engine's thread."""
    lane: str
    first: bool = False
    """Whether it waits for no other, neither for its turn nor for room: a question of health."""
    arrived_s: float = field(default_factory=time.monotonic)
    """When its request arrived, on the clock of `time.monotonic`."""
    token_s: float | None = None
    """When it got its last token, on the same clock; None before its first."""
    deadline_s: float = float("inf")
    """When its caller has gone, on the same clock."""
    waits_until_s: float = float("inf")
    """Until when it may wait for its turn, on the same clock: after that its caller is told while it is still there."""
    left_behind: bool = False
    """Whether a round began without it, for want of room or time: one that merely came meanwhile waits for none."""
    began_s: float | None = None
    """When its turn came, on the same clock; None while it waits for it."""
    estimate: Estimate | None = None
    """How long it was to take; None where nothing was known of rounds, and of all texts of a request but the last."""
    given_up: bool = False
    """Whether its caller does not want it any more; any thread may say so."""
    tokens: list[int] = field(default_factory=list)
    """Those that were chosen, the one that ended it among them; with beams those of the likeliest hypothesis, and in
    the end of the best."""
    finish: str = ""
    """Why it ended, one of `FINISHES`; empty while it goes on."""
    error: BaseException | None = None
    """Why it has no end, where the network failed."""
    _beams: Beams | None = field(init=False)

    def __post_init__(self) -> None:
        self._beams = Beams(self.choice, self.max_new_tokens) if self.choice.beams > 1 else None

    @property
    def ended(self) -> bool:
        """Whether nothing more comes."""
        return bool(self.finish) or self.error is not None

    def is_gone(self, now_s: float) -> bool:
        """Whether nobody waits for it any more."""
        return self.given_up or now_s > self.deadline_s

    @property
    def why_gone(self) -> str:
        """How it ends where nobody waits for it any more."""
        return CANCELLED if self.given_up else DEADLINE

    @property
    def left(self) -> int:
        """How many tokens it may still get."""
        return 0 if self.ended else self.max_new_tokens - len(self.tokens)

    @property
    def rounds(self) -> int:
        """How many rounds it had: with beams they may be more than the tokens of the best hypothesis."""
        return len(self.hypotheses[0])

    @property
    def hypotheses(self) -> Sequence[Sequence[int]]:
        """The tokens of each of its hypotheses, as many as its choice has beams."""
        return [self.tokens] if self._beams is None else self._beams.running

    def go_on(self, logits: NDArray[np.float32]) -> NDArray[np.intp] | None:
        """Go on by one token, out of the logits (K, V) of each hypothesis, and tell what is new of the text. Returns
        which hypothesis each one was before, (K,), or None where there is one."""
        if self._beams is None:
            self._add(self.choice.token(logits[0], self.tokens, self.max_new_tokens))
            return None
        parents = self._beams.advance(logits)
        if self._beams.over:
            self._end_whole(list(self._beams.best))
        else:
            self.tokens = list(self._beams.running[0])
        return parents

    def _end_whole(self, tokens: list[int]) -> None:
        """Become the text of these tokens, and tell all of it."""
        self.tokens = tokens
        pieces = [self.pieces.add(token) for token in tokens if token not in self.choice.ends]
        self.finish = self._finish()
        self.tell(self, "".join(pieces) + self.pieces.end())

    def _add(self, token: int) -> None:
        """Go on by one token, and tell what is new of the text."""
        self.tokens.append(token)
        self.finish = self._finish()
        piece = "" if token in self.choice.ends else self.pieces.add(token)
        if self.pieces.stopped:
            self.finish = STOP
        if self.finish:
            piece += self.pieces.end()
        if piece or self.finish:
            self.tell(self, piece)

    def _finish(self) -> str:
        """Why it ends with the tokens that it has, "" where it goes on. A token that is forced upon a text that has all
        that it may have is no end of its own."""
        is_full = len(self.tokens) >= self.max_new_tokens
        if self.tokens[-1] in self.choice.ends and not (is_full and self.choice.last):
            return EOS
        return LENGTH if is_full else ""

    def end(self, finish: str) -> None:
        """End it before its time."""
        self.finish = finish
        self.tell(self, self.pieces.end())

    def fail(self, error: BaseException) -> None:
        """End it without an answer."""
        self.error, self.finish = error, ""
        self.tell(self, "")
