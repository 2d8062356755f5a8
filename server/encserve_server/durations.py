"""Durations, as the options of commands have them."""

import re

from encserve import InvalidInput

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h)")
_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def seconds_of(given: str, option: str) -> float:
    """Return the seconds of a duration such as 30m, that an `option` gives. Raises InvalidInput."""
    matched = _DURATION.fullmatch(given.strip())
    if matched is None or not float(matched[1]):
        raise InvalidInput(f"{option} is {given!r}; a positive number with a unit is expected, such as 30m, 90s or 1h")
    return float(matched[1]) * _SECONDS[matched[2]]
