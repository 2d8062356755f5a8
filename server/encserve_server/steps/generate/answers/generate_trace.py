"""What the generate step tells of a request that is traced: how long it was tokenized, waited for its turn, and was
made token by token, and the whole."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ...trace.span import Value
from ...trace.tracing import StepTrace, TracedCall, Tracing
from ..texts.text import GeneratedText


class GenerateTrace(StepTrace):
    """One request to generate."""

    lane = ""
    texts: Sequence[GeneratedText] = ()
    tokenized_s: float | None = None
    """When it had been tokenized; None where it is not."""
    first_s: float | None = None
    """When the first piece of it was there; None where none is."""

    def told(self) -> None:
        """Take that something is new of a text."""
        if self.first_s is None:
            self.first_s = time.monotonic()

    def _answered(self, error: str, now_s: float) -> None:
        arrived_s, waits_s = self.call.arrived_s, self.tokenized_s
        about: dict[str, Value] = {"encserve.lane": self.lane, "encserve.texts": len(self.texts)}
        self.add("tokenize", arrived_s, now_s if waits_s is None else waits_s, error=error if waits_s is None else "")
        if waits_s is not None:
            began_s = min((text.began_s for text in self.texts if text.began_s is not None), default=None)
            waited = began_s is None  # and nothing else
            self.add("queue", waits_s, now_s if began_s is None else began_s, error=error if waited else "")
            if began_s is not None:
                self.add("generate", began_s, now_s, attributes=self._made(), error=error)
        self.add_whole(arrived_s, now_s, attributes=about, error=error)

    def _made(self) -> dict[str, Value]:
        made: dict[str, Value] = {
            "encserve.tokens": sum(len(text.source) for text in self.texts),
            "encserve.output_tokens": sum(len(text.tokens) for text in self.texts),
        }
        if self.first_s is not None:
            made["encserve.first_piece_s"] = self.first_s - self.call.arrived_s
        return made


def generate_trace(tracing: Tracing, call: TracedCall) -> GenerateTrace | None:
    """Return what tells of a call; None where it is not traced."""
    context = tracing.context_of(call)
    return GenerateTrace(tracing, context, call) if context else None
