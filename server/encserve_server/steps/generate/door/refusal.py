"""Who may wait for the engine: texts that will begin, and be whole, in time.

A server that takes more texts than it makes shares its rounds among so many that none is whole when its caller goes.
So those are refused, at once, that would come too late themselves, or by whom others would.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from ..texts.text import GeneratedText
from .in_time import IN_TIME, InTime
from .pace import Pace, hypotheses_of

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


def check_count(texts: Sequence[GeneratedText], waiting: int, *, max_queued_texts: int) -> None:
    """Refuse a request beside so many texts that wait in its lane, if it makes them too many. Raises QueueFull."""
    if waiting + len(texts) > max(max_queued_texts, len(texts)):
        raise QueueFull(
            "max_queued_texts",
            f"{waiting} texts wait in lane {texts[0].lane}; max_queued_texts is {max_queued_texts}: try again later",
        )


def check_time(
    pace: Pace,
    text: GeneratedText,
    active: Sequence[GeneratedText],
    before: Sequence[GeneratedText],
    now_s: float,
    *,
    rows: int,
    prefill_tokens: int,
) -> None:
    """Refuse a text that would begin, or be whole, too late. Until it begins, those before it are encoded once, and
    decoded as far as they come by then; then as many are decoded beside it as now, since another comes for each that
    ends.

    Args:
        pace: of the engine.
        text: the one that came.
        active: the texts that are decoded.
        before: those that wait before it.
        now_s: the time, on the clock of `time.monotonic`.
        rows: how many texts have room together.
        prefill_tokens: how many tokens of new texts are encoded between two rounds.

    Raises:
        QueueFull: it would; the message says how long it would take, and how long it may.
    """
    left_s = max(text.deadline_s - now_s, 0.0)
    if not pace.round_s or left_s == float("inf"):
        return
    left, left_before = [[pace.tokens_left(each) for each in texts] for texts in (active, before)]
    beams = hypotheses_of((*active, *before, text)) / (len(active) + len(before) + 1)
    in_time = InTime(pace, active, now_s)

    def with_most(hypotheses: float) -> tuple[int, int]:
        """The rounds until it begins with at most so many in each, and how many texts these are."""
        places = max(int(min(rows, hypotheses / beams)), 1)
        return rounds_before(left, left_before, rows=places), places

    most, suits = in_time.most(text.lane), in_time.rows(text, IN_TIME - SHARE_OF_TIMEOUT)
    begins, places = with_most(most)
    if suits > most:  # once those have ended that bear no more beside them
        later, more = with_most(suits)
        later = max(later, *(pace.most_left(each) for each in in_time.tight(text.lane, suits)))
        begins, places = min((begins, places), (later, more))
    sources = sum(len(each.source) for each in before)
    rounds = max(begins, sources // prefill_tokens) + 1
    decoded = sum(
        min(each, rounds) * one.choice.beams
        for one, each in zip((*active, *before), (*left, *left_before), strict=True)
    )
    decoded = min(decoded, int(places * beams * rounds)) + text.choice.beams
    first_s = pace.encoding_s(sources + len(text.source)) + pace.rounds_s(rounds, decoded)
    beside = hypotheses_of(active) or text.choice.beams
    whole_s = first_s + (pace.most_left(text) - 1) * pace.seconds_of_round(beside)
    for will, takes_s, part in (("wait", first_s, SHARE_OF_TIMEOUT), ("take", whole_s, IN_TIME)):
        if takes_s > part * left_s:
            until = "for its first token" if will == "wait" else "until it is whole"
            raise QueueFull(
                "timeout",
                f"a text of lane {text.lane} would {will} about {takes_s:.1f} s {until}; of the {left_s:.3g} s that "
                f"are left of its timeout it may {will} {part * left_s:.3g} s: try again later",
            )


def rounds_before(active: Sequence[int], before: Sequence[int], *, rows: int) -> int:
    """How many rounds there are until a text has its turn that came now, by the rounds that those have left which are
    decoded, and those before it. Each begins where another ends; where more are decoded than have room, the first that
    end make none."""
    places = sorted(active)[max(len(active) - rows, 0) :]
    places += [0] * max(min(rows - len(places), len(before) + 1), 0)  # more that are free change nothing
    heapq.heapify(places)
    for left in before:
        heapq.heapreplace(places, places[0] + left)
    return places[0]
