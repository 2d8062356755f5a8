"""Traces as an instance of a step tells them: which of its requests are traced, and the spans of each."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ..instance.loops import Report
from .context import Context, Sampler, server_salt
from .settings import TraceSettings, trace_settings
from .span import INTERNAL, SERVER, Place, Span, Value, new_span_id

PLACE = "spans"
"""Where in a step a fault in telling of a request shows."""


class OfAStep(Protocol):
    """Takes the faults of an instance, and what its operator is told."""

    def expect(self, *places: str) -> None:
        """Show the counts of these places from the beginning."""

    def warn(self, sentence: str) -> None:
        """Tell the operator."""

    def report(self, where: str, error: BaseException) -> None:
        """Take what goes wrong by a fault of ours. Raises nothing."""


class TracedCall(Protocol):
    """What is asked of a request."""

    arrived_s: float

    @property
    def id(self) -> str:
        """The id that its caller gave it."""

    @property
    def traceparent(self) -> object:
        """Its parameter `traceparent`."""

    @property
    def health_token(self) -> object:
        """What it has where it is, or claims to be, a question of health."""


class Spans(Protocol):
    """Takes spans, and sends them some time."""

    def add(self, span: Span) -> None:
        """Take one. Raises nothing."""

    def close(self) -> None:
        """Send what is there."""


class Tracing:
    """The traces of an instance.

    Args:
        settings: of the operator.
        about: Attributes of the span of a whole request: of which pipeline it is, and of which version.
        pipeline: The name of the pipeline, and so of that span.
        spans: takes the spans.
        sampler: decides which requests are traced.
        report: takes what goes wrong by a fault of ours.
    """

    def __init__(
        self,
        settings: TraceSettings,
        *,
        pipeline: str,
        about: Mapping[str, Value],
        spans: Spans,
        sampler: Sampler,
        report: Report,
    ) -> None:
        self._settings = settings
        self._about = about
        self.pipeline = pipeline
        self.spans = spans
        self._sampler = sampler
        self.report = report

    def context_of(self, call: TracedCall) -> Context | None:
        """Return the context of a request; None where it is not traced. The questions of supervision never are. Raises
        nothing."""
        try:
            if call.health_token is not None:
                return None
            return self._sampler.context(call.traceparent, call.id)
        except BaseException as error:
            self.report(PLACE, error)
            return None

    def about(self, call: TracedCall) -> dict[str, Value]:
        """Return what the span of a whole request says of it."""
        ids = {"encserve.request_id": call.id} if self._settings.request_ids and call.id else {}
        return {**self._about, **ids}

    def close(self) -> None:
        """Send what is there."""
        self.spans.close()


class StepTrace:
    """One request that is traced, in one step. Of its threads each may add spans."""

    def __init__(self, tracing: Tracing, context: Context, call: TracedCall) -> None:
        self._tracing = tracing
        self.context = context
        self.call = call

    def answered(self, error: str) -> None:
        """Tell of the request, which is answered now, with a kind of error or "". Raises nothing."""
        try:
            self._answered(error, time.monotonic())
        except BaseException as failure:
            self._tracing.report(PLACE, failure)

    def _answered(self, error: str, now_s: float) -> None:
        raise NotImplementedError

    def add(
        self,
        name: str,
        began_s: float,
        ended_s: float,
        *,
        attributes: Mapping[str, Value] | None = None,
        place: Place | None = None,
        parent_id: str | None = None,
        kind: int = INTERNAL,
        links: Sequence[Place] = (),
        error: str = "",
    ) -> None:
        """Tell of what took from one moment to another, on the clock of `time.monotonic`, for the request; by default
        it has a place of its own under the span of the whole request."""
        span = Span(
            name=name,
            place=place or self.new_place(),
            parent_id=self.context.span_id if parent_id is None else parent_id,
            began_s=began_s,
            ended_s=ended_s,
            kind=kind,
            attributes=attributes or {},
            links=links,
            error=error,
        )
        self._tracing.spans.add(span)

    def new_place(self) -> Place:
        """Return a place for another span of the request."""
        return Place(self.context.trace_id, new_span_id())

    def add_whole(
        self, began_s: float, ended_s: float, *, attributes: Mapping[str, Value] | None = None, error: str = ""
    ) -> None:
        """Tell of the whole request, under the span of its caller. One step does, that which answers the caller."""
        self.add(
            self._tracing.pipeline,
            began_s,
            ended_s,
            attributes={**self._tracing.about(self.call), **(attributes or {})},
            place=Place(self.context.trace_id, self.context.span_id),
            parent_id=self.context.parent_id,
            kind=SERVER,
            error=error,
        )


def open_tracing(
    args: Mapping[str, Any],
    *,
    step: str,
    metrics: Any,
    failures: OfAStep,
    environment: Mapping[str, str] = os.environ,
) -> Tracing | None:
    """Return the traces of an instance; None where the operator wants none.

    Args:
        args: what Triton gives to `initialize`; names the model and its version.
        step: what follows the name of the pipeline in that of the model, such as "_head".
        metrics: of the instance, which tell what became of spans.
        failures: of the instance.
        environment: of the server.

    Raises:
        ValueError: a variable of it has a value that it cannot have.
    """
    settings = trace_settings(environment)
    if settings is None:
        return None
    from .exporter import COLLECTOR, QUEUE, SpanExporter  # with HTTP, which no step has that traces nothing

    failures.expect(PLACE)
    sent = metrics.counter("encserve_sent_spans", "Spans of traces that the collector took")
    dropped = metrics.counter("encserve_dropped_spans", "Spans of traces that were dropped, by why")
    sent.expect()
    for reason in (QUEUE, COLLECTOR):
        dropped.expect(reason=reason)
    pipeline = str(args["model_name"]).removesuffix(step)
    return Tracing(
        settings,
        pipeline=pipeline,
        about={"gen_ai.request.model": pipeline, "encserve.version": str(args["model_version"])},
        spans=SpanExporter(settings, sent=sent, dropped=dropped, warn=failures.warn, report=failures.report),
        sampler=Sampler(settings.share, server_salt()),
        report=failures.report,
    )
