"""Traces: a caller's, continued to the pipelines for callers whose key may ask for that; and with a collector, spans of
every request and of what it asked pipelines.

Triton records every request that comes with a trace, whatever its flags say, so only the traces of callers are passed
on, only sampled ones, and not for whoever comes. A trace that begins here ends here. This also lets calls of several
requests share one to a pipeline, which those of several traces may not.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from encserve import Answer, __version__
from encserve_gateway.faults import Fault

if TYPE_CHECKING:
    from encserve_gateway.http.request import Request
    from encserve_gateway.keys import Key
    from encserve_gateway.record import Record

TRACEPARENT = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""Version 0 of W3C Trace Context: trace, span, flags."""

SAMPLED = 1
"""The flag of traces that are recorded."""

PATH = "/v1/traces"
"""Where collectors take spans by OTLP over HTTP, below their address."""

SERVICE = "encserve-gateway"
"""The name of the service, where the variable OTEL_SERVICE_NAME has no other."""

NOTHING = nullcontext()
"""Around what belongs to no trace."""

METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH"})
"""Methods that a span names; others are what callers make up."""


def continued_by(request: Request, key: Key) -> str:
    """The header `traceparent` of a request, where it is well formed and sampled, and the key may; else empty."""
    parent = request.headers.get(b"traceparent", b"")
    if not (key.traces and TRACEPARENT.fullmatch(parent) and int(parent[-2:], 16) & SAMPLED):
        return ""
    return parent.decode()


class Traces:
    """What becomes of the traces of one process.

    Args:
        collector: takes spans by OTLP over HTTP, such as "http://localhost:4318"; empty for no spans. What else
            OpenTelemetry's SDK can be told is in its environment variables, such as OTEL_TRACES_SAMPLER.
        request_ids: whether spans say who asked: the id of the request, which is free text of its caller, and the
            name of the caller's key.
    """

    def __init__(self, collector: str = "", *, request_ids: bool = False) -> None:
        self._request_ids = request_ids
        self._provider = _provider(collector) if collector else None
        self._tracer = self._provider.get_tracer("encserve_gateway", __version__) if self._provider else None

    def begin(self, record: Record) -> None:
        """Begin the span of a request, whose key is known, and continue the trace that this key may continue."""
        parent = continued_by(record.request, record.key)
        context = _context_of(parent) if parent else None
        if self._tracer is not None:
            record.span = self._span_of(record, context)
            if context is not None:
                context = _with_span(record.span)
        record.trace = context

    def asking(self, record: Record) -> AbstractContextManager[Any]:
        """While the block lasts, a pipeline is asked; gives the span of that, or None."""
        if self._tracer is not None and record.span is not None:
            return self._told(record)
        return NOTHING if record.trace is None else _current(record.trace)

    @contextmanager
    def _told(self, record: Record) -> Iterator[Any]:
        assert self._tracer is not None
        from opentelemetry.trace import SpanKind

        served = record.served
        span = self._tracer.start_span(
            f"{served.pipeline.task} {served.name}" if served else "pipelines",
            context=_with_span(record.span),
            kind=SpanKind.CLIENT,
            attributes=_asked(record),
            record_exception=False,  # the words of an error may have a text of a caller
            set_status_on_exception=False,
        )
        try:
            with _current(_with_span(span) if record.trace is not None else None):
                yield span
        except Fault as fault:
            _fail(span, fault.kind.word)
            raise
        finally:
            span.end()

    def end(self, record: Record, *, code: int, reason: str = "") -> None:
        """End the span of a request that was answered with a status, or of one that was not, with 0 and the reason; of
        one that was refused before it had a span it is the beginning, too."""
        if self._tracer is None or record.is_light:
            return
        span = record.span or self._span_of(record, None)
        if code:
            span.set_attribute("http.response.status_code", code)
        if reason or code >= 500:
            _fail(span, reason or str(code))
        span.end()

    def _span_of(self, record: Record, context: Any) -> Any:
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind

        assert self._tracer is not None
        method = record.request.method if record.request.method in METHODS else "_OTHER"
        attributes = {
            "http.request.method": method,
            "http.route": record.path,
            "encserve.dialect": record.dialect.name,
        }
        if self._request_ids:
            attributes["encserve.request_id"] = record.request.id.decode()
            if record.key.name:
                attributes["encserve.key"] = record.key.name
        return self._tracer.start_span(
            f"{method} {record.path}",
            context=context or Context(),  # and not what is current, which is of somebody else
            kind=SpanKind.SERVER,
            attributes=attributes,
            start_time=time.time_ns() - int((time.perf_counter() - record.begun_s) * 1e9),
        )

    def close(self) -> None:
        """Send what is left, in the time that OpenTelemetry's SDK has for it."""
        if self._provider is not None:
            self._provider.shutdown()


def tell(span: Any, answer: Answer) -> None:
    """Put into the span of a question what was answered: numbers, and names that the server has."""
    if span is None:
        return
    span.set_attributes(
        {
            "gen_ai.response.model": answer.model,
            "gen_ai.usage.input_tokens": int(answer.token_counts.sum()),
            "encserve.version": answer.version,
            "encserve.texts": len(answer),
            "encserve.dropped_tokens": int(answer.dropped_counts.sum()),
        }
    )


def check_packages() -> None:
    """Raises ModuleNotFoundError where OpenTelemetry's SDK or its exporter is missing."""
    import opentelemetry.exporter.otlp.proto.http.trace_exporter
    import opentelemetry.sdk.trace  # noqa: F401


def _provider(collector: str) -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    about = {"service.name": os.environ.get("OTEL_SERVICE_NAME") or SERVICE, "service.version": __version__}
    provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
    endpoint = collector.rstrip("/").removesuffix(PATH) + PATH
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    return provider


def _context_of(parent: str) -> Any:
    """The trace of a `traceparent`; None without the package `opentelemetry-api`."""
    try:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
    except ImportError:
        return None
    return TraceContextTextMapPropagator().extract({"traceparent": parent})


def _with_span(span: Any) -> Any:
    from opentelemetry.context import Context
    from opentelemetry.trace import set_span_in_context

    return set_span_in_context(span, Context())


@contextmanager
def _current(context: Any) -> Iterator[None]:
    """Make a trace the current one, in which the SDK sends its requests; nothing for None."""
    if context is None:
        yield
        return
    from opentelemetry.context import attach, detach

    token = attach(context)
    try:
        yield
    finally:
        detach(token)


def _asked(record: Record) -> dict[str, Any]:
    served = record.served
    if served is None:
        return {}
    task = served.pipeline.task
    embeds = {"gen_ai.operation.name": "embeddings"} if task == "feature-extraction" else {}
    return {
        **embeds,
        "gen_ai.provider.name": "encserve",
        "gen_ai.request.model": served.name,
        "encserve.task": task,
    }


def _fail(span: Any, reason: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", reason)
    span.set_status(Status(StatusCode.ERROR))
