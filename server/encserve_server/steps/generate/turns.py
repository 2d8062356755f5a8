"""Whose turn it is among the texts that wait for the engine: interactive ones before bulk, of which a share goes on all
the same."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from ..instance.lanes import BULK, INTERACTIVE, LANES
from .text import GeneratedText

INTERACTIVE_TOKENS = 9
"""While texts of both lanes wait, for so many tokens that interactive texts may have bulk has one: a tenth of all."""


class Turns:
    """The texts that wait, in a queue for each lane. Not for several threads at a time."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[GeneratedText]] = {lane: deque() for lane in LANES}
        self._passed = 0
        """Tokens of interactive texts that were let in while bulk waited, and for which it had none yet."""

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

    def next(self) -> GeneratedText | None:
        """The text whose turn it is; None where none waits."""
        heads = [queue[0] for queue in self._queues.values() if queue]
        if len(heads) < len(LANES) or heads[0].first or heads[1].first:
            return next((head for head in heads if head.first), heads[0] if heads else None)
        interactive, bulk = heads
        return bulk if self._passed >= INTERACTIVE_TOKENS * _tokens(bulk) else interactive

    def take(self) -> GeneratedText:
        """Take out the text whose turn it is."""
        text = self.next()
        assert text is not None
        self._queues[text.lane].popleft()
        if not self._queues[BULK]:
            self._passed = 0
        elif text.lane == INTERACTIVE:
            self._passed += _tokens(text)
        else:
            self._passed = max(self._passed - INTERACTIVE_TOKENS * _tokens(text), 0)
        return text

    def drop(self, is_gone: Callable[[GeneratedText], bool]) -> list[GeneratedText]:
        """Take out the texts of which `is_gone` is true, and return them."""
        gone = [text for queue in self._queues.values() for text in queue if is_gone(text)]
        for text in gone:
            self._queues[text.lane].remove(text)
        return gone


def _tokens(text: GeneratedText) -> int:
    """The tokens that a text takes room for."""
    return len(text.source) + text.max_new_tokens
