"""How much an engine may have under way, as the settings of a version say it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EngineLimits:
    """How much an engine has under way."""

    cache_bytes: int
    """The most that the keys and values of all texts may take."""
    logits_bytes: int
    """The most that the logits of all texts may take in a round, of each hypothesis those of all tokens. It bounds how
    long a round takes, too, after which gone callers and those who come are looked at."""
    prefill_tokens: int
    """About how many tokens of new texts are encoded between two steps, which the other texts wait for meanwhile."""
    max_queued_texts: int
    """How many texts may wait in a lane."""
    max_rows: int = 2**31
    """How many texts are decoded together at most."""
