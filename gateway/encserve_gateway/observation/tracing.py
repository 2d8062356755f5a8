"""The trace that a caller's request belongs to, continued to the pipelines for callers whose key may ask for that.

Triton records every request that comes with a trace, whatever its flags say, so only sampled ones are passed on, and
not for whoever comes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from encserve_gateway.http.request import Request
from encserve_gateway.keys import Key

TRACEPARENT = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""Version 0 of W3C Trace Context: trace, span, flags."""

SAMPLED = 1
"""The flag of traces that are recorded."""


def continued_by(request: Request, key: Key) -> str:
    """The header `traceparent` of a request, where it is well formed and sampled, and the key may; else empty."""
    parent = request.headers.get(b"traceparent", b"")
    if not (key.traces and TRACEPARENT.fullmatch(parent) and int(parent[-2:], 16) & SAMPLED):
        return ""
    return parent.decode()


@contextmanager
def in_trace(parent: str) -> Iterator[None]:
    """Make a trace the current one, in which the SDK sends its requests; nothing for an empty `parent`, or without the
    package `opentelemetry-api`."""
    if not parent:
        yield
        return
    try:
        from opentelemetry import context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
    except ImportError:  # it is no requirement
        yield
        return
    token = context.attach(TraceContextTextMapPropagator().extract({"traceparent": parent}))
    try:
        yield
    finally:
        context.detach(token)
