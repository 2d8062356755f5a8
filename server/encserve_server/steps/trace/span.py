"""One span, and many as OTLP has them: JSON, which collectors take on the same address as protobuf."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

Value: TypeAlias = str | int | float | bool

INTERNAL, SERVER, CLIENT = 1, 2, 3
"""The kinds of spans: work within a process, what a request came to, what another pipeline was asked."""
_ERROR = {"code": 2}
_READINGS = 5


class Place(NamedTuple):
    """A span, as others name it."""

    trace_id: str
    span_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """What took from one moment to another."""

    name: str
    place: Place
    parent_id: str
    """Empty where the trace begins with it."""
    began_s: float
    """On the clock of `time.monotonic`, as `ended_s`."""
    ended_s: float
    kind: int = INTERNAL
    attributes: Mapping[str, Value] = field(default_factory=dict)
    links: Sequence[Place] = ()
    """Spans of other requests that it was for, too."""
    error: str = ""
    """The kind of what went wrong; empty where nothing did. Never the words of an error, which may quote a text."""


def new_span_id() -> str:
    """Return a random id, 16 hexadecimal digits."""
    return secrets.token_hex(8)


def read_epoch_ns() -> int:
    """Return when the clock of `time.monotonic` was 0, in nanoseconds since 1970, by the reading of both clocks that
    nothing came between: the steps of a server, whose spans are shown together, find the same but for some 100 ns."""
    readings = []
    for _ in range(_READINGS):
        before_ns, now_ns, after_ns = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        readings.append((after_ns - before_ns, now_ns - (before_ns + after_ns) // 2))
    return min(readings)[1]


def otlp_json(spans: Sequence[Span], resource: Mapping[str, str], *, epoch_ns: int | None = None) -> bytes:
    """Return the body of a request to a collector.

    Args:
        spans: Those that it has.
        resource: Attributes of what sends them.
        epoch_ns: When the clock of `time.monotonic` was 0, in nanoseconds since 1970; by default as it is now.
    """
    epoch_ns = read_epoch_ns() if epoch_ns is None else epoch_ns
    told = {
        "resource": {"attributes": _attributes(resource)},
        "scopeSpans": [{"scope": {"name": "encserve"}, "spans": [_told(span, epoch_ns) for span in spans]}],
    }
    return json.dumps({"resourceSpans": [told]}, separators=(",", ":")).encode()


def _told(span: Span, epoch_ns: int) -> dict[str, Any]:
    told: dict[str, Any] = {
        **_place(span.place),
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(epoch_ns + round(span.began_s * 1e9)),
        "endTimeUnixNano": str(epoch_ns + round(span.ended_s * 1e9)),
        "attributes": _attributes(span.attributes),
        "flags": 1,
    }
    if span.parent_id:
        told["parentSpanId"] = span.parent_id
    if span.links:
        told["links"] = [{**_place(place), "flags": 1} for place in span.links]
    if span.error:
        told["status"] = _ERROR
        told["attributes"] += _attributes({"error.type": span.error})
    return told


def _place(place: Place) -> dict[str, str]:
    return {"traceId": place.trace_id, "spanId": place.span_id}


def _attributes(attributes: Mapping[str, Value]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in attributes.items()]


def _value(value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}
