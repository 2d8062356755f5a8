"""What the encode step tells of a request that is traced: how long it waited in its lane, and each micro-batch that
had texts of it."""

from __future__ import annotations

from ..trace.context import Context
from ..trace.tracing import PLACE, StepTrace, TracedCall, Tracing
from .request import Computed


class EncodeTrace(StepTrace):
    """One request in the encode step."""

    lane = ""
    texts = 0
    began_s: float | None = None
    """When it was cut into micro-batches; None while it waits in its lane."""

    def __init__(self, tracing: Tracing, context: Context, call: TracedCall) -> None:
        super().__init__(tracing, context, call)
        self.place = self.new_place()
        """That of the span of the request in this step."""
        self._computed: list[int] = []  # texts of it, by micro-batch

    def computed(self, batch: Computed) -> None:
        """Tell of a micro-batch with texts of the request, in its own trace. Others that are traced and share it have
        a span of it in theirs, with the same number, and each names the others' requests. Raises nothing."""
        try:
            texts, tokens = batch.shares[self]
            self._computed.append(texts)
            self.add(
                "micro-batch",
                batch.began_s,
                batch.ended_s,
                attributes={
                    "encserve.micro_batch": batch.number,
                    "encserve.texts": batch.texts,
                    "encserve.tokens": batch.tokens,
                    "encserve.requests": batch.requests,
                    "encserve.own_texts": texts,
                    "encserve.own_tokens": tokens,
                },
                parent_id=self.place.span_id,
                links=[each.place for each in batch.shares if isinstance(each, EncodeTrace) and each is not self],
            )
        except BaseException as error:
            self._tracing.report(PLACE, error)

    def _answered(self, error: str, now_s: float) -> None:
        arrived_s, began_s = self.call.arrived_s, self.began_s
        attributes = {"encserve.lane": self.lane}
        self.add(
            "encode queue",
            arrived_s,
            now_s if began_s is None else began_s,
            attributes=attributes,
            parent_id=self.place.span_id,
            error=error if began_s is None else "",
        )
        self.add(
            "encode",
            arrived_s,
            now_s,
            attributes={
                **attributes,
                "encserve.texts": self.texts,
                "encserve.repeated_texts": self.texts - sum(self._computed) if began_s is not None else 0,
            },
            place=self.place,
            error=error,
        )


def encode_trace(tracing: Tracing, call: TracedCall) -> EncodeTrace | None:
    """Return what tells of a call; None where it is not traced."""
    context = tracing.context_of(call)
    return EncodeTrace(tracing, context, call) if context else None
