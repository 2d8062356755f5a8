"""Durations as people write them, and numbers as people read them."""

import math
import re

from encserve_loadtest.errors import InvalidPlan

SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
"""Unit -> its length in seconds."""

DURATION = re.compile(rf"(?P<number>\d+(\.\d+)?)\s*(?P<unit>{'|'.join(SECONDS)})")


def parse_duration_s(text: str) -> float:
    """Seconds in a duration such as "100ms", "2.5 s" or "1h".

    Raises:
        InvalidPlan: it has no unit, or is not positive.
    """
    match = DURATION.fullmatch(text.strip())
    if match is None or float(match["number"]) == 0:
        raise InvalidPlan(f"{text!r} is no duration: expected a positive number with a unit, such as 100ms or 2s")
    return float(match["number"]) * SECONDS[match["unit"]]


def rounded(value: float, digits: int = 3) -> str:
    """A number to three significant digits, with a comma in its thousands: 0.0123, 4.56, 78.9, 1,230."""
    if not math.isfinite(value):
        return "∞"
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{round(value, digits - 1 - math.floor(math.log10(abs(value)))):,.{decimals}f}"


def milliseconds(seconds: float) -> str:
    """A latency: "83.1 ms", "1.23 s", or what it means that there is none."""
    if not math.isfinite(seconds):
        return "never"
    return f"{rounded(seconds)} s" if seconds >= 1 else f"{rounded(seconds * 1e3)} ms"


def percent(share: float) -> str:
    """A share of 1: "4.2 %"."""
    return f"{rounded(share * 100, 2)} %"
