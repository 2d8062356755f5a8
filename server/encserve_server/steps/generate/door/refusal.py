"""Who may wait for the engine: texts that will begin, and be whole, in time.

A server that takes more texts than it makes shares its rounds among so many that none is whole when its caller goes.
So those are refused, at once, that would come too late.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..texts.text import Estimate, GeneratedText
from .ahead import Ahead
from .in_time import IN_TIME
from .pace import Pace

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


def estimate_of(
    pace: Pace, text: GeneratedText, ahead: Ahead, now_s: float, *, rows: int, prefill_tokens: int
) -> Estimate:
    """Return how long a text takes that comes behind others, before what is learnt of such estimates: those that wait
    are encoded, and they and one of those that are decoded get their tokens, as many texts at a time as have room and
    leave this one the time to be whole; then it is decoded beside as many as now, since another comes for each that
    ends.

    Args:
        pace: of the engine, which knows of rounds.
        text: the one that came.
        ahead: those before it.
        now_s: the time, on the clock of `time.monotonic`.
        rows: how many texts have room together, this one among them.
        prefill_tokens: how many tokens of new texts are encoded between two rounds.
    """
    beams = (ahead.hypotheses + text.choice.beams) / (ahead.texts + 1)
    bears = max(pace.bears(text, IN_TIME - SHARE_OF_TIMEOUT, now_s), pace.few)
    places = max(min(rows, bears / beams), 1)
    tokens = ahead.waiting_tokens + ahead.decoded_tokens / max(ahead.decoded, places)
    rounds = max(tokens / places, ahead.source_tokens // prefill_tokens) + 1
    encoding_s = pace.encoding_s(ahead.source_tokens + len(text.source))
    first_s = encoding_s + pace.rounds_s(rounds, tokens * beams + text.choice.beams)
    return Estimate(first_s, pace.seconds_of_round(ahead.hypotheses_decoded or text.choice.beams))


def have_room_and_time(pace: Pace, text: GeneratedText, together: Ahead, now_s: float) -> bool:
    """Whether a text, the last of them, may be decoded at once beside all others, and be whole in time."""
    return together.have_room and (together.texts == 1 or together.hypotheses <= pace.bears(text, IN_TIME, now_s))


def check_time(pace: Pace, text: GeneratedText, estimate: Estimate, now_s: float) -> None:
    """Refuse a text that would begin, or be whole, too late by an estimate and what is learnt of estimates. Raises
    QueueFull, whose message says how long it would take, and how long it may."""
    left_s = max(text.deadline_s - now_s, 0.0)
    factor = pace.correction[text.lane].factor(now_s)
    first_s, whole_s = factor * estimate.first_s, factor * estimate.whole_s(pace.most_left(text))
    for will, takes_s, part in (("wait", first_s, SHARE_OF_TIMEOUT), ("take", whole_s, IN_TIME)):
        if takes_s > part * left_s:
            until = "for its first token" if will == "wait" else "until it is whole"
            raise QueueFull(
                "timeout",
                f"a text of lane {text.lane} would {will} about {takes_s:.1f} s {until}; of the {left_s:.3g} s that "
                f"are left of its timeout it may {will} {part * left_s:.3g} s: try again later",
            )
