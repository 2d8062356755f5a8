"""The trace that a call belongs to, where the program uses OpenTelemetry."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec


def trace_metadata() -> tuple[tuple[str, str], ...]:
    """What continues the current trace on the server: `traceparent` and what else the program propagates, as names in
    lower case with their values. Empty where the package `opentelemetry-api` is missing, or no span is current."""
    if not _is_there():
        return ()
    from opentelemetry.propagate import inject

    carrier: dict[str, str] = {}
    inject(carrier)
    return tuple((name.lower(), value) for name, value in carrier.items())


@cache
def _is_there() -> bool:
    try:
        return find_spec("opentelemetry.propagate") is not None
    except ModuleNotFoundError:
        return False
