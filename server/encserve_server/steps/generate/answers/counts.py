"""What the generate step tells Triton's metrics: its texts, its tokens, its steps, and how long callers wait."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ...instance.histogram import Histogram
from ...instance.lanes import LANES
from ...instance.metrics import Metrics
from ...tokenize.door.counts import EntryCounts
from ..decoder.round import Round
from ..door.refusal import LIMITS, QueueFull
from ..texts.text import CANCELLED, DEADLINE, FINISHES, GeneratedText, NotFinite
from .call import ANSWERED, FAILED, LATE, OUTCOMES, REFUSED, GenerateCall

ERROR = "error"
"""Why a text ended whose request failed."""
FIRST_TOKEN_S = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
TOKEN_GAP_S = (0.001, 0.002, 0.003, 0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.05, 0.07, 0.1, 0.2, 0.5, 1.0)
REQUEST_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0)
REFUSAL_S = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 3.0)
ROWS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512)
"""Upper bounds of the buckets of the histograms."""
_NOT_WANTED = (CANCELLED, DEADLINE)


class Working(Protocol):
    """What is asked of an engine."""

    def decoded(self, lane: str) -> int:
        """How many texts of a lane are encoded or decoded."""

    def waiting(self, lane: str) -> int:
        """How many texts of a lane wait for their turn."""

    @property
    def cache_bytes(self) -> int:
        """The bytes of keys and values."""


class GenerateCounts:
    """The metrics of a generate step beside those that every step has. Threads may count at the same time; questions of
    health are counted in none but the tokens and the steps."""

    def __init__(self, metrics: Metrics) -> None:
        self._steps = metrics.counter("encserve_generate_steps", "Steps of the decoder")
        self._rows = metrics.counter("encserve_generate_rows", "Texts in a step, summed over the steps")
        self._tokens = metrics.counter("encserve_generate_tokens", "Tokens that were encoded, and that were made")
        self._finished = metrics.counter("encserve_generate_finished", "Texts that ended, by why they did")
        self._unwanted = metrics.counter(
            "encserve_generate_cancelled_tokens", "Tokens that were made of texts before nobody wanted them any more"
        )
        self._requests = metrics.counter(
            "encserve_generate_requests", "Requests that came to their last response, by what that was"
        )
        # Who waits is late or given up as any other request is, by its outcome: its time goes on while it is decoded.
        self._door = EntryCounts(metrics, LIMITS)
        self._nonfinite = metrics.counter(
            "encserve_nonfinite_texts", "Texts that failed because the network gave NaN or infinity for them"
        )
        self._first_token = Histogram(
            metrics,
            "encserve_generate_first_token_seconds",
            "Seconds from the arrival of a request until the decoder gave a text of it its first token",
            FIRST_TOKEN_S,
        )
        self._token_gap = Histogram(
            metrics,
            "encserve_generate_token_gap_seconds",
            "Seconds from one token of a text to its next",
            TOKEN_GAP_S,
        )
        self._request = Histogram(
            metrics,
            "encserve_generate_request_seconds",
            "Seconds from the arrival of a request to its last response, of those that were answered",
            REQUEST_S,
        )
        self._refusal = Histogram(
            metrics,
            "encserve_generate_refusal_seconds",
            "Seconds from when the step read a request until it had refused it",
            REFUSAL_S,
        )
        self._rows_per_step = Histogram(metrics, "encserve_generate_rows_per_step", "Texts in a step", ROWS)
        self._expect()

    def _expect(self) -> None:
        counters = (self._steps, self._rows, self._nonfinite)
        for counter in (*counters, self._token_gap, self._rows_per_step):
            counter.expect()
        for kind in ("source", "output"):
            self._tokens.expect(kind=kind)
        for reason in (*FINISHES, ERROR):
            self._finished.expect(reason=reason)
        for reason in _NOT_WANTED:
            self._unwanted.expect(reason=reason)
        for outcome in OUTCOMES:
            for streamed in ("false", "true"):
                self._requests.expect(outcome=outcome, streamed=streamed)
        for lane in LANES:
            self._first_token.expect(lane=lane)
            self._request.expect(lane=lane)
            self._refusal.expect(lane=lane)

    def watch(self, metrics: Metrics, engine: Working) -> None:
        """Tell what an engine has under way at any moment."""
        metrics.gauge("encserve_generate_active_rows", "Texts that are encoded or decoded", engine.decoded)
        metrics.gauge("encserve_generate_waiting_texts", "Texts that wait for their turn", engine.waiting)
        metrics.amount(
            "encserve_generate_cache_bytes", "Bytes of the keys and values of texts", lambda: engine.cache_bytes
        )

    def cancel_message(self) -> None:
        """Count a message that another request is given up."""
        self._door.messages.add()

    def refused(self, lane: str, why: QueueFull) -> None:
        """Count a request that may not wait."""
        self._door.refused.add(lane=lane, limit=why.limit)

    def round(self, done: Round) -> None:
        """Count what an engine did."""
        self._steps.add(len(done.rows))
        self._rows.add(sum(done.rows))
        self._tokens.add(done.source_tokens, kind="source")
        self._tokens.add(done.tokens, kind="output")
        for lane, seconds in done.first_tokens:
            self._first_token.observe(seconds, lane=lane)
        for observed, values in ((self._token_gap, done.gaps_s), (self._rows_per_step, done.rows)):
            if values:
                observed.observe_all(np.array(values))

    def texts_ended(self, call: GenerateCall) -> None:
        """Count the texts of a call, all of which have ended, after its last response."""
        for text in call.texts:
            if text.first:
                continue
            reason = _reason(text, call.outcome)
            self._finished.add(reason=reason)
            self._nonfinite.add(isinstance(text.error, NotFinite))
            if reason in _NOT_WANTED:
                self._unwanted.add(len(text.tokens), reason=reason)

    def over(self, call: GenerateCall, outcome: str, took_s: float) -> None:
        """Count a call that has its last response, so many seconds after it came."""
        if any(text.first for text in call.texts):
            return
        self._requests.add(outcome=outcome, streamed="true" if call.streamed else "false")
        took = {ANSWERED: self._request, REFUSED: self._refusal}.get(outcome)
        if took is not None and call.texts:
            took.observe(took_s, lane=call.texts[0].lane)


def _reason(text: GeneratedText, outcome: str) -> str:
    """Why a text ended. One that was given up because its request came to nothing by another of its texts ended by what
    that came to, and by no caller."""
    if text.finish == CANCELLED:
        return {FAILED: ERROR, LATE: DEADLINE}.get(outcome, CANCELLED)
    return text.finish or ERROR
