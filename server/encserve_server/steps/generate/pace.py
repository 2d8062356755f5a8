"""How fast an engine goes, by what it did lately, and how long a text would wait for its first token."""

from __future__ import annotations

import heapq
import time
from collections.abc import Sequence

from ..instance.load_page import Load
from .round import Round
from .text import GeneratedText

NEWEST = 0.2
"""The weight of the newest round in what a round takes; of those before it the weights shrink by as much."""
SHARE_OF_TIMEOUT = 0.5
"""The share of the time that its caller waits which a text may wait for its first token; a request that would wait
longer is refused."""
KEPT_OF_FULL = 0.95
"""The weight of all full rounds before beside each next one, in how many tokens a second texts get."""
KEPT = 0.9999
"""The weight of all texts that ended before in how long texts become, for each token that one more could have had."""


LIMITS = ("max_queued_texts", "timeout")
"""The names of the limits for which a request is refused."""


class QueueFull(Exception):
    """So much waits already that a request may not even wait; the message names the limit and the value."""

    def __init__(self, limit: str, message: str) -> None:
        super().__init__(message)
        self.limit = limit
        """The name of the limit, one of `LIMITS`."""


class Pace:
    """What is known of the speed of an engine, whose thread tells it; others may read it meanwhile."""

    def __init__(self) -> None:
        self.round_s = 0.0
        """Seconds that a round lately took; 0 where there was none since the engine had nothing to do."""
        self._made, self._most = 0.0, 0.0
        self._full_tokens, self._full_s = 0.0, 0.0

    def was_idle(self) -> None:
        """Forget what rounds took: the next ones have other texts."""
        self.round_s = 0.0

    def round_took(self, seconds: float, done: Round) -> None:
        """Learn from a round, of which the tokens a second say what the engine can do only where it was full."""
        self.round_s += (seconds - self.round_s) * (NEWEST if self.round_s else 1.0)
        if done.is_full:
            self._full_tokens = KEPT_OF_FULL * self._full_tokens + done.tokens
            self._full_s = KEPT_OF_FULL * self._full_s + seconds

    @property
    def tokens_per_second(self) -> float:
        """Tokens that all texts together lately got each second in full rounds; 0 where none was full yet."""
        return self._full_tokens / self._full_s if self._full_s else 0.0

    def work(self, waiting: Sequence[GeneratedText]) -> Load:
        """The work that texts are which wait for room: the tokens that they will get, as `tokens_left` says."""
        return Load(tokens=sum(map(self.tokens_left, waiting)), rate=self.tokens_per_second, room=0.0)

    def has_ended(self, text: GeneratedText) -> None:
        """Learn from a text that came to its end: of the rounds that it need not have had, how many it had. A text that
        gets one token, as questions of health do, says nothing of how long others become."""
        least = _least(text)
        kept = KEPT ** (text.max_new_tokens - least)
        self._made = kept * self._made + max(text.rounds - least, 0)  # a string of `stop` may end it before
        self._most = kept * self._most + text.max_new_tokens - least

    def tokens_left(self, text: GeneratedText) -> int:
        """About how many rounds a text will still have, one for each token: those that it must have, and such a part of
        the others as texts before had of theirs; of these none, as long as none has ended."""
        part = self._made / self._most if self._most else 0.0
        least = _least(text)
        expected = least + round(part * (text.max_new_tokens - least))
        return max(expected - text.rounds, 1)

    def wait_s(
        self, active: Sequence[GeneratedText], before: Sequence[GeneratedText], *, rows: int, prefill_tokens: int
    ) -> float:
        """About how long a text would wait for its first token that came now.

        Args:
            active: the texts that are decoded.
            before: those that wait before it; each begins where another ends.
            rows: how many texts have room together.
            prefill_tokens: how many tokens of new texts are encoded between two rounds.
        """
        places = [self.tokens_left(text) for text in active]
        places += [0] * max(min(rows - len(places), len(before) + 1), 0)  # more that are free change nothing
        heapq.heapify(places)
        for text in before:
            heapq.heapreplace(places, places[0] + self.tokens_left(text))
        encoding = sum(len(text.source) for text in before) // prefill_tokens
        return (max(places[0], encoding) + 1) * self.round_s

    def check_wait(
        self,
        text: GeneratedText,
        active: Sequence[GeneratedText],
        before: Sequence[GeneratedText],
        *,
        rows: int,
        prefill_tokens: int,
    ) -> None:
        """Refuse a text that would wait for too long beside these; see `wait_s`. Raises QueueFull."""
        left_s = max(text.deadline_s - time.monotonic(), 0.0)
        wait_s = self.wait_s(active, before, rows=rows, prefill_tokens=prefill_tokens)
        if wait_s > SHARE_OF_TIMEOUT * left_s:
            raise QueueFull(
                "timeout",
                f"a text of lane {text.lane} would wait about {wait_s:.1f} s for its first token; of the "
                f"{left_s:.3g} s that are left of its timeout it may wait {SHARE_OF_TIMEOUT * left_s:.3g} s: try again "
                "later",
            )


def _least(text: GeneratedText) -> int:
    """The tokens that a text gets in any case."""
    return min(max(text.choice.min_new_tokens, 1), text.max_new_tokens)
