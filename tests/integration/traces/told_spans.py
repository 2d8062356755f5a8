"""What a collector was told of one trace."""

import time
from contextlib import contextmanager

from collector import attributes
from opentelemetry import trace

PATIENCE_S = 20
"""How long spans are waited for, each of which waits for others for a second."""

SPAN = 0x00F067AA0BA902B7
"""That of the caller."""


@contextmanager
def calling(number, *, sampled=True):
    """In the block the SDK asks in the trace of this number."""
    context = trace.SpanContext(number, SPAN, is_remote=False, trace_flags=trace.TraceFlags(int(sampled)))
    with trace.use_span(trace.NonRecordingSpan(context)):
        yield


def wait_until(holds):
    """Wait for what a collector is to be told."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s, "it was not told"
        time.sleep(0.05)


def spans_of(collector, number, *, until):
    """The spans of a trace, once `until` is true of their names, or after a while."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        spans = [span for span in list(collector.spans) if span.trace_id.hex() == f"{number:032x}"]
        if until([span.name for span in spans]) or time.monotonic() > deadline_s:
            return spans
        time.sleep(0.05)


def seconds(span):
    """How long it took."""
    return (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9


def about(span):
    """Its attributes, by name without our prefix."""
    return {name.removeprefix("encserve."): value for name, value in attributes(span).items()}
