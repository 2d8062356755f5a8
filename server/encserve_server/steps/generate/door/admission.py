"""Which of the texts that wait come in between two rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...instance.lanes import INTERACTIVE
from ..texts.text import GeneratedText
from .in_time import InTime
from .room import Room
from .turns import Turns


@dataclass
class Admission:
    """The texts whose turn it is, and what becomes of the others."""

    texts: list[GeneratedText]
    """Those that come in."""
    source_tokens: int = 0
    """The tokens of their sources."""
    left_behind: bool = False
    """Whether others stay behind for which there was no room, or no time beside those under way."""
    is_full: bool = False
    """Whether that was for want of room."""


def admit(
    waiting: Turns,
    active: Sequence[GeneratedText],
    room: Room,
    in_time: InTime,
    *,
    prefill_tokens: int,
    coming: list[GeneratedText],
) -> Admission:
    """Take those out of the texts that wait whose turn it is, until there is no room or no time, or so many tokens are
    to be encoded. Questions of health come in all the same. Each is among `coming`, which has none before, as soon as
    it is taken out: whatever is raised then, none is lost."""
    done, together = Admission(coming), room.beside(active)

    def fits(text: GeneratedText, lane: str | None = None) -> bool:
        return in_time.has(text, lane or text.lane) and together.fits(text)

    waiting.begin_round()
    while (text := waiting.next(fits)) is not None:
        if done.texts and done.source_tokens + len(text.source) > prefill_tokens:
            break
        # bulk that comes before interactive texts holds them off for none of bulk that would be late for it
        if not text.first and not fits(text, INTERACTIVE if waiting.of(INTERACTIVE) else text.lane):
            done.left_behind = waiting.leave_behind()  # nothing takes the room that it waits for
            done.is_full = not together.fits(text)
            break
        done.texts.append(waiting.take(text))
        together.take(text)
        in_time.take(text)
        done.source_tokens += len(text.source)
    return done
