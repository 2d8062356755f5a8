"""Whose turn it is among the texts that wait for the engine: interactive ones before bulk, of which a share goes on all
the same.

A long text takes room from all that are decoded beside it, for as many rounds as it may have tokens, and where it does
not fit at once, all that come after it wait until it does. So one of bulk first lets interactive texts go on for nine
times as many rounds.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

from ...instance.lanes import BULK, LANES
from ..texts.text import GeneratedText

INTERACTIVE_TOKENS = 9
"""While texts of both lanes wait, for so many tokens that interactive texts may have bulk has one: a tenth of all."""
INTERACTIVE_ROUNDS = 9
"""For so many rounds for each token that it may have, a text of bulk whose turn has come lets interactive ones go on
where it does not fit."""

Fits: TypeAlias = Callable[[GeneratedText], bool]
"""Whether there is room for a text now."""


class Turns:
    """The texts that wait, in a queue for each lane. Not for several threads at a time."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[GeneratedText]] = {lane: deque() for lane in LANES}
        self._passed = 0
        """Tokens of interactive texts that were let in while bulk waited, and for which it had none yet."""
        self._rounds = 0
        """Rounds since the turn of the first text of bulk came."""

    def __bool__(self) -> bool:
        return any(self._queues.values())

    def of(self, lane: str) -> Sequence[GeneratedText]:
        """The texts that wait in a lane, in their order."""
        return self._queues[lane]

    def before(self, lane: str) -> list[GeneratedText]:
        """The texts that come before one that would be put into a lane now, but for the share of bulk."""
        return [text for each in LANES[: LANES.index(lane) + 1] for text in self._queues[each]]

    def put(self, texts: Sequence[GeneratedText]) -> None:
        """Let the texts of a request wait, at the end, or where they come `first`, at the beginning."""
        queue = self._queues[texts[0].lane]
        if texts[0].first:
            queue.extendleft(reversed(texts))
        else:
            queue.extend(texts)

    def begin_round(self) -> None:
        """Count a round for which bulk waits although its turn has come."""
        if self._is_turn_of_bulk():
            self._rounds += 1

    def leave_behind(self) -> bool:
        """Take note that a round begins without the texts that wait. Returns whether any do."""
        for queue in self._queues.values():
            for text in queue:
                text.left_behind = True
        return bool(self)

    def left_behind(self, lane: str) -> list[GeneratedText]:
        """The texts of a lane without which a round has begun, in their order."""
        return [text for text in self._queues[lane] if text.left_behind]

    def next(self, fits: Fits = lambda text: True) -> GeneratedText | None:
        """The text whose turn it is; None where none waits."""
        heads = [queue[0] for queue in self._queues.values() if queue]
        if len(heads) < len(LANES) or heads[0].first or heads[1].first:
            return next((head for head in heads if head.first), heads[0] if heads else None)
        interactive, bulk = heads
        may_wait = self._rounds < INTERACTIVE_ROUNDS * bulk.max_new_tokens
        return interactive if not self._is_turn_of_bulk() or (may_wait and not fits(bulk)) else bulk

    def take(self, text: GeneratedText) -> GeneratedText:
        """Take out a text, which is the first of its lane, and return it."""
        is_turn_of_bulk = self._is_turn_of_bulk()
        self._queues[text.lane].remove(text)
        text.began_s = time.monotonic()
        if text.lane == BULK:
            self._rounds = 0
        if not self._queues[BULK]:
            self._passed = 0
        elif text.lane == BULK:
            self._passed = max(self._passed - INTERACTIVE_TOKENS * _tokens(text), 0)
        elif not is_turn_of_bulk:  # bulk that finds no room has waited for it, and is owed no more tokens for that
            self._passed += _tokens(text)
        return text

    def _is_turn_of_bulk(self) -> bool:
        bulk = self._queues[BULK]
        return bool(bulk) and self._passed >= INTERACTIVE_TOKENS * _tokens(bulk[0])

    def drop(self, is_gone: Callable[[GeneratedText], bool]) -> list[GeneratedText]:
        """Take out the texts of which `is_gone` is true, and return them."""
        bulk = self._queues[BULK]
        if bulk and is_gone(bulk[0]):
            self._rounds = 0
        gone = [text for queue in self._queues.values() for text in queue if is_gone(text)]
        for text in gone:
            self._queues[text.lane].remove(text)
        return gone


def _tokens(text: GeneratedText) -> int:
    """The tokens that a text takes room for."""
    return len(text.source) + text.choice.beams * text.max_new_tokens
