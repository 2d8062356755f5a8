"""The trace that a request belongs to, as its caller says: the header `traceparent` of W3C Trace Context, which the
server hands to every step as a request parameter."""

from __future__ import annotations

import re
from dataclasses import dataclass

PARAMETER = "traceparent"
"""The name of the header, and of the request parameter."""
SAMPLED = 1
"""The flag of traces that are recorded."""
NOT_TRACED = f"00-{1:032x}-{1:016x}-00"
"""What tells a pipeline that a request which another step makes of it belongs to none that is traced."""

_FORM = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")


@dataclass(frozen=True)
class Parent:
    """The span of the caller."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits."""
    sampled: bool
    """Whether the caller records it, and so wants to see what becomes of it here."""


def parent_in(value: object) -> Parent | None:
    """Return the span that a `traceparent` of version 00 names; None where it is none, or malformed, which W3C has
    servers ignore."""
    match = _FORM.fullmatch(value) if isinstance(value, str) else None
    return Parent(match[1], match[2], bool(int(match[3], 16) & SAMPLED)) if match else None


def traceparent_of(trace_id: str, span_id: str) -> str:
    """Return the `traceparent` of what is asked for the sake of a span that is recorded."""
    return f"00-{trace_id}-{span_id}-{SAMPLED:02x}"
