"""What the head step tells of a request that is traced: its own work, and the whole request from the door on."""

from __future__ import annotations

import time

from ..trace.tracing import PLACE, StepTrace, TracedCall, Tracing


class HeadTrace(StepTrace):
    """One request in the head step."""

    door_s: float | None = None
    """When it came to the door; None where that is not known."""
    lane = ""
    _error = ""

    def _answered(self, error: str, now_s: float) -> None:
        self._error = error
        self.add("head", self.call.arrived_s, now_s, error=error)

    def sent(self) -> None:
        """Tell of the whole request: `execute` returns, and Triton sends the answer. Raises nothing."""
        try:
            if self.door_s is not None:
                attributes = {"encserve.lane": self.lane}
                self.add_whole(self.door_s, time.monotonic(), attributes=attributes, error=self._error)
        except BaseException as error:
            self._tracing.report(PLACE, error)


def head_trace(tracing: Tracing, call: TracedCall) -> HeadTrace | None:
    """Return what tells of a call; None where it is not traced."""
    context = tracing.context_of(call)
    return HeadTrace(tracing, context, call) if context else None
