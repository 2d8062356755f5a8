"""Who may wait for the engine: texts that will begin, and be whole, in time.

A server that takes more texts than it makes shares its rounds among so many that none is whole when its caller goes.
So those are refused, at once, that would come too late themselves, or by whom others would.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Sequence

from .pace import IN_TIME, Pace, hypotheses_of
from .text import GeneratedText

SHARE_OF_TIMEOUT = 0.5
"""The share of the time that its caller waits which a text may wait for its first token; a request that would wait
longer is refused."""
LIMITS = ("max_queued_texts", "timeout")
"""The names of the limits for which a request is refused."""


class QueueFull(Exception):
    """So much waits already that a request may not even wait; the message names the limit and the value."""

    def __init__(self, limit: str, message: str) -> None:
        super().__init__(message)
        self.limit = limit
        """The name of the limit, one of `LIMITS`."""


def check_time(
    pace: Pace,
    text: GeneratedText,
    active: Sequence[GeneratedText],
    before: Sequence[GeneratedText],
    *,
    rows: int,
    prefill_tokens: int,
) -> None:
    """Refuse a text that would begin, or be whole, too late.

    Args:
        pace: of the engine.
        text: the one that came.
        active: the texts that are decoded.
        before: those that wait before it.
        rows: how many texts have room together.
        prefill_tokens: how many tokens of new texts are encoded between two rounds.

    Raises:
        QueueFull: it would; the message says how long it would take, and how long it may.
    """
    texts = [*active, *before, text]
    beams = hypotheses_of(texts) / len(texts)
    rows = max(int(min(rows, pace.most_rows(active) / beams)), 1)
    round_s = pace.seconds_of_round(beams * max(len(active), min(rows, len(texts))))
    left_s = max(text.deadline_s - time.monotonic(), 0.0)
    encoding_s = pace.encoding_s(sum(len(each.source) for each in (*before, text)))
    begins = rounds_before(pace, active, before, rows=rows, prefill_tokens=prefill_tokens)
    first_s = encoding_s + (begins + 1) * round_s
    whole_s = first_s + (pace.most_left(text) - 1) * round_s
    for will, takes_s, part in (("wait", first_s, SHARE_OF_TIMEOUT), ("take", whole_s, IN_TIME)):
        if takes_s > part * left_s:
            until = "for its first token" if will == "wait" else "until it is whole"
            raise QueueFull(
                "timeout",
                f"a text of lane {text.lane} would {will} about {takes_s:.1f} s {until}; of the {left_s:.3g} s that "
                f"are left of its timeout it may {will} {part * left_s:.3g} s: try again later",
            )


def rounds_before(
    pace: Pace, active: Sequence[GeneratedText], before: Sequence[GeneratedText], *, rows: int, prefill_tokens: int
) -> int:
    """About how many rounds there are until a text has its turn that came now; see `check_time`. Each of those before
    it begins where another ends; where more are decoded than have room, the first that end make none."""
    places = sorted(map(pace.tokens_left, active))[max(len(active) - rows, 0) :]
    places += [0] * max(min(rows - len(places), len(before) + 1), 0)  # more that are free change nothing
    heapq.heapify(places)
    for text in before:
        heapq.heapreplace(places, places[0] + pace.tokens_left(text))
    return max(places[0], sum(len(text.source) for text in before) // prefill_tokens)
