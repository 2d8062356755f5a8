"""What the cascade step tells of a request that is traced: how long it waited, each question to a pipeline, under which
that puts its own spans, and the whole."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..request.traceparent import NOT_TRACED, traceparent_of
from ..request.traceparent import PARAMETER as TRACEPARENT
from ..trace.span import CLIENT, Value
from ..trace.tracing import StepTrace, TracedCall, Tracing
from .member import MemberRefused
from .refusals import Refusal

STATUSES = {
    Refusal.UNAVAILABLE: "UNAVAILABLE",
    Refusal.CANCELLED: "CANCELLED",
    Refusal.INVALID: "INVALID_ARGUMENT",
    Refusal.FAILED: "INTERNAL",
}
"""Why a pipeline refused -> the status that its caller would be told."""


class CascadeTrace(StepTrace):
    """One request to a cascade."""

    lane = ""
    texts = 0
    began_s: float | None = None
    """When a thread took it; None while it waits."""

    @contextmanager
    def asking(self, role: str, model: str, texts: int) -> Iterator[str]:
        """Tell of a question to one of the pipelines, which the block asks; gives its `traceparent`."""
        place, began_s = self.new_place(), time.monotonic()
        error = ""
        try:
            yield traceparent_of(*place)
        except BaseException as failure:
            error = STATUSES[failure.kind] if isinstance(failure, MemberRefused) else "INTERNAL"
            raise
        finally:
            attributes: dict[str, Value] = {"gen_ai.request.model": model, "encserve.texts": texts}
            self.add(role, began_s, time.monotonic(), attributes=attributes, place=place, kind=CLIENT, error=error)

    def _answered(self, error: str, now_s: float) -> None:
        arrived_s, began_s = self.call.arrived_s, self.began_s
        attributes: dict[str, Value] = {"encserve.lane": self.lane, "encserve.texts": self.texts}
        self.add(
            "queue",
            arrived_s,
            now_s if began_s is None else began_s,
            attributes=attributes,
            error=error if began_s is None else "",
        )
        self.add_whole(arrived_s, now_s, attributes=attributes, error=error)


def cascade_trace(tracing: Tracing, call: TracedCall) -> CascadeTrace | None:
    """Return what tells of a call; None where it is not traced."""
    context = tracing.context_of(call)
    return CascadeTrace(tracing, context, call) if context else None


@contextmanager
def asking(tracing: Tracing | None, trace: object, role: str, model: str, texts: int) -> Iterator[dict[str, str]]:
    """Tell of a question to a pipeline, where its request is traced. Gives the parameters that it is to have: that it
    belongs to no trace, where others may, so that no pipeline begins one for a part of a request."""
    if tracing is None:
        yield {}
    elif isinstance(trace, CascadeTrace):
        with trace.asking(role, model, texts) as traceparent:
            yield {TRACEPARENT: traceparent}
    else:
        yield {TRACEPARENT: NOT_TRACED}
