"""What moving an index from one pipeline to the other costs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from encserve import InvalidInput

from .side import Asked

_MILLION = 1e6
_HOUR_S = 3_600.0


@dataclass(frozen=True, kw_only=True)
class Replica:
    """What one replica of the new pipeline does, by `encserve plan`."""

    tokens_per_s: float
    cost_per_hour: float | None


@dataclass(frozen=True, kw_only=True)
class Reembedding:
    """To embed a million texts like these anew."""

    tokens_per_text: float
    seconds: float
    """On one replica."""
    cost: float | None
    """In the currency of the plan; None where it has no price."""
    source: str
    """Where the speed is from, in words."""


def read_plan(path: Path) -> Replica:
    """Read the capacity, at its lower end, and the price of a replica out of the JSON that `encserve plan` wrote.

    Raises:
        InvalidInput: it is no plan, or one that found no capacity.
    """
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
        rate_per_s, tokens = plan["capacity"]["low_per_s"], plan["tokens_per_request"]
        if not rate_per_s * tokens > 0:
            raise ValueError(f"{rate_per_s} requests a second of {tokens} tokens")
        return Replica(tokens_per_s=rate_per_s * tokens, cost_per_hour=plan["config"]["replica_cost_per_hour"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{path} is no plan with a capacity, as `encserve plan` writes it: {error!r}") from error


def reembedding(texts: int, asked: Asked, replica: Replica | None) -> Reembedding:
    """What a million texts of the lengths of these take, by the plan, else by how long these took."""
    tokens_per_text = asked.tokens / texts
    if replica is None:
        return Reembedding(
            tokens_per_text=tokens_per_text,
            seconds=_MILLION * asked.took_s / texts,
            cost=None,
            source="this comparison, while the server did what else it does",
        )
    seconds = _MILLION * tokens_per_text / replica.tokens_per_s
    price = replica.cost_per_hour
    return Reembedding(
        tokens_per_text=tokens_per_text,
        seconds=seconds,
        cost=None if price is None else seconds / _HOUR_S * price,
        source="the plan, the lower end of the capacity at its target",
    )
