"""What the tokenize step tells of a request that is traced: how long it waited at the door, and was tokenized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..trace.span import Value
from ..trace.tracing import StepTrace, TracedCall, Tracing


class DoorTrace(StepTrace):
    """One request at the door."""

    began_s: float | None = None
    """When it was let on to the tokenizer; None while it waits."""
    asked: Mapping[str, Value] = {}
    """What it asks for: its lane, and how many texts."""
    tokenized: Mapping[str, Value] = {}
    """What became of that."""

    def _answered(self, error: str, now_s: float) -> None:
        arrived_s, began_s = self.call.arrived_s, self.began_s
        if began_s is None:
            self.add("queue", arrived_s, now_s, attributes=self.asked, error=error)
        else:
            self.add("queue", arrived_s, began_s, attributes=self.asked)
            self.add("tokenize", began_s, now_s, attributes=self.tokenized, error=error)
        if error:  # no other step hears of it
            self.add_whole(arrived_s, now_s, attributes=self.asked, error=error)


def door_trace(tracing: Tracing, call: TracedCall) -> DoorTrace | None:
    """Return what tells of a call; None where it is not traced."""
    context = tracing.context_of(call)
    return DoorTrace(tracing, context, call) if context else None


def tokenized(groups: Sequence[Sequence[str]], tensors: Mapping[str, Any], together: int) -> dict[str, Value]:
    """Return what a span says of texts in `groups` that became `tensors`, with those of so many requests."""
    counts = {"encserve.tokens": "token_count", "encserve.dropped_tokens": "dropped_count"}
    return {
        "encserve.texts": sum(map(len, groups)),
        **{name: int(tensors[tensor].sum()) for name, tensor in counts.items() if tensor in tensors},
        "encserve.requests": together,
    }
