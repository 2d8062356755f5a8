"""The tokenize step: BYTES texts in, packed token ids out.

It is also the door of the pipeline. A request that finds room goes on at once; others wait here, or are refused
(`door.admission_queue`). How much room there is says the encode step itself (`door.encode_load`) or, where that is a
C++ backend's, what was sent on and how fast it was answered (`door.sent_requests`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

from numpy.typing import NDArray
from tokenizers import Tokenizer

from ..instance.batch_times import BatchTimes
from ..instance.failures import Failures
from ..instance.lanes import LANES
from ..instance.load_page import Load, LoadWriter, is_closing, page_file
from ..instance.loops import Loop
from ..instance.metrics import Metrics
from ..instance.restarts import show_restarts
from ..instance.settings import check_sha256, instance_of, read_settings, version_folder
from ..request.arrival import ARRIVED_NS, arrival_tensor
from ..request.call import Call
from ..request.health import HealthQuestions
from ..request.options import InvalidArgument, OptionRules, Options
from ..request.replies import cancelled, failed, invalid, reply, unavailable
from ..trace.tracing import Tracing, open_tracing
from .door.admission_queue import LIMITS, POLL_S, AdmissionQueue, Overloaded, Released, estimate_tokens
from .door.counts import DoorCounts
from .door.encode_load import EncodeLoad
from .door.lane_queue import QueuedRequest
from .door.marker import Marker
from .door.queue_limits import queue_limits
from .door.sent_requests import SentRequests
from .door_trace import DoorTrace, door_trace, tokenized
from .limits import estimated_tokens
from .text_counts import TextCounts
from .tokenization import Tokenization


class Asked(NamedTuple):
    """A call with its texts and its options."""

    call: Call
    groups: list[list[str]]
    """The texts of the call, in the groups of the layout."""
    options: Options


class TritonPythonModel:
    """Tokenizes the texts of all requests of a batch in one call."""

    _tracing: Tracing | None = None
    """Its traces; None where the operator wants none."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Load the tokenizer, after checking that it is the certified one."""
        folder = version_folder(args)
        settings = read_settings(folder)
        check_sha256(folder / "tokenizer.json", settings["tokenizer_sha256"])
        self._rules = OptionRules.from_settings(settings)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenization = Tokenization(tokenizer, settings)
        self._tensors = settings["tensors"]
        self._tells_arrival = settings.get("arrival") == ARRIVED_NS  # exports of before this was told do not
        self._max_length = settings["limits"]["max_length"]
        self._metrics = Metrics(args)
        self._failures = Failures(args["model_name"], self._metrics, sees_texts=True)
        self._failures.expect("tokenizer", "admission", "markers")
        self._tracing = open_tracing(args, step="_tokenize", metrics=self._metrics, failures=self._failures)
        self._count(self._metrics)
        self._texts = TextCounts(tokenizer, self._metrics)
        show_restarts(self._metrics, args)
        self._health = HealthQuestions()
        encoder = settings["encode_model"], args["model_version"]
        page = LoadWriter(page_file(args["model_name"], args["model_version"]), instance_of(args))
        self._sent = None
        if "marker" in settings:
            marker = Marker(*encoder, settings["marker"], settings.get("mask_id"))
            self._sent = SentRequests(marker.send, report=self._failures.report)
        load = self._sent.load if self._sent else EncodeLoad(*encoder).of
        self._queue = AdmissionQueue(queue_limits(settings), load, publish=page.publish)
        self._serving = Loop(
            "admission",
            take=self._queue.next,
            do=self._serve,
            give_up=lambda released, error: self._give_up(released.requests, error),
            report=self._failures.report,
        ).start()
        if self._sent:
            self._sent.start()
        self._metrics.work(self._load)
        self._metrics.start(self._failures.report)

    def _count(self, metrics: Metrics) -> None:
        self._door = DoorCounts(metrics, LIMITS)
        self._times = BatchTimes(metrics)

    def _load(self, lane: str) -> Load:
        """Return the load that waits at the door, and what a C++ encode step has, which says nothing of it."""
        sent, rate = (self._sent.tokens(lane), self._sent.load(lane).rate) if self._sent else (0, 0.0)
        return Load(tokens=self._queue.waiting(lane) + sent, rate=rate, room=0)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request with its own texts' tokens, now or when it is released; a wrong request fails alone."""
        calls = [Call(request, self._failures) for request in requests]
        if self._tracing:
            for call in calls:
                call.trace = door_trace(self._tracing, call)
        now: list[QueuedRequest] = []
        refused: list[tuple[Call, Overloaded]] = []
        for call in calls:
            with call.guarded():
                if is_closing():
                    call.answer(unavailable("the server is closing and lets no new request in"))
                    continue
                try:
                    now += self._admit(call)
                except Overloaded as error:
                    refused.append((call, error))
        for call, refusal in refused:
            with call.guarded():
                if now:
                    call.keep()  # so that no refusal waits for the tokenizer
                call.answer(unavailable(str(refusal)))
        try:
            self._go_on(now)
        except BaseException as error:
            self._failures.report("execute", error)
            self._give_up(now, error)
        return [call.response for call in calls]

    def _admit(self, call: Call) -> list[QueuedRequest]:
        """Return the request that a call asks for, if it may go on at once; none if it waits, or if the call cancels
        another.

        Raises:
            InvalidArgument: it asks for what cannot be.
            Overloaded: it may not even wait.
        """
        options = self._rules.check(call.parameters)
        if options["cancel"]:
            call.trace = None
            self._door.messages.add()
            self._forget({options["cancel"]})
            call.answer(cancelled(f"request {options['cancel']} is given up"))
            return []
        inputs: dict[str, Any] = {name: call.tensor(name) for name in self._tokenization.inputs}
        request = self._queued_request(Asked(call, self._tokenization.read(inputs, options), options))
        sent = sum(estimated_tokens(text) for texts in inputs.values() for text in texts)  # without prompt and template
        if request.texts == 1 and self._health.is_one(call.health_token, sent):
            return [request]
        try:
            if self._queue.enter(request, before_waiting=call.keep):
                return [request]
        except Overloaded as error:
            self._door.refused.add(lane=request.lane, limit=error.limit)
            raise
        return []

    def _queued_request(self, asked: Asked) -> QueuedRequest:
        lane, rows = asked.options["lane"], self._tokenization.rows(asked.groups, asked.options)
        given = self._tokenization.given_vectors(asked.groups, asked.options)
        if isinstance(trace := asked.call.trace, DoorTrace):
            texts = self._tokenization.texts(asked.groups)
            trace.asked = {"encserve.lane": lane, "encserve.texts": sum(map(len, texts))}
        return QueuedRequest(
            lane=lane,
            texts=len(rows),
            size=sum(_utf8_bytes(text) for group in asked.groups for text in group),
            tokens=estimate_tokens(rows, self._max_length, given_vectors=given),
            request_id=asked.call.id,
            timeout_s=asked.call.timeout_s,
            arrived_s=asked.call.arrived_s,
            work=asked,
        )

    def _forget(self, request_ids: Set[str]) -> None:
        for request in self._queue.cancel(request_ids):
            self._door.cancelled.add(lane=request.lane)
            request.work.call.answer(cancelled("the caller gave the request up while it waited"))

    def _serve(self, released: Released) -> None:
        for request, error in released.refused:
            self._door.refused.add(lane=request.lane, limit=error.limit)
            request.work.call.answer(unavailable(str(error)))
        for request in released.late:
            self._door.late.add(lane=request.lane)
            request.work.call.answer(
                unavailable(f"timeout of {request.timeout_s:g} s was used up while the request waited")
            )
        began_s = time.monotonic()
        self._go_on(released.ready)
        if released.ready:
            self._times.add([began_s - request.arrived_s for request in released.ready], time.monotonic() - began_s)

    def _go_on(self, queued: Sequence[QueuedRequest]) -> None:
        """Answer requests with their tokens. They count as sent to the encode step from then on."""
        if not queued:
            return
        sent = [self._sent.let_on(request.lane, request.tokens) for request in queued] if self._sent else []
        gone_on = []
        if self._tracing:
            self._begin_traces(queued)
        try:
            answers = self._tokenize([request.work for request in queued])
            for request, answer in zip(queued, answers, strict=True):
                request.work.call.answer(answer)
            gone_on = [each for each, answer in zip(sent, answers, strict=False) if not answer.has_error()]
        finally:
            if self._sent:
                self._sent.forget([each for each in sent if each not in gone_on])
                self._sent.hand_over(gone_on)

    @staticmethod
    def _begin_traces(queued: Sequence[QueuedRequest]) -> None:
        began_s = time.monotonic()
        for request in queued:
            if isinstance(trace := request.work.call.trace, DoorTrace):
                trace.began_s = began_s

    def _tokenize(self, asked: Sequence[Asked]) -> list[Any]:
        """Return the answer to each request. One at which the tokenizer fails does so alone."""
        try:
            answers = self._tokenization.tokenize([(each.groups, each.options) for each in asked])
            self._count_texts(asked, answers)
            return [
                invalid(answer) if isinstance(answer, InvalidArgument) else self._reply(each, answer, len(asked))
                for each, answer in zip(asked, answers, strict=True)
            ]
        except BaseException as error:  # a panic of the tokenizer is no Exception
            if len(asked) == 1:
                self._failures.report("tokenizer", error, asked[0].call.id)
                return [failed(self._failures.in_words(error))]
            return [answer for each in asked for answer in self._tokenize([each])]

    def _count_texts(self, asked: Sequence[Asked], answers: Sequence[Mapping[str, NDArray[Any]] | Exception]) -> None:
        """Count texts that go on, but for questions of supervision. A count that fails takes nobody the answer."""
        try:
            for each, answer in zip(asked, answers, strict=True):
                if not isinstance(answer, Exception) and not self._health.shows_token(each.call.health_token):
                    self._texts.add(self._tokenization.texts(each.groups), answer)
        except BaseException as error:
            self._failures.report("execute", error)

    def _reply(self, asked: Asked, tensors: Mapping[str, NDArray[Any]], together: int) -> Any:
        if isinstance(trace := asked.call.trace, DoorTrace):
            trace.tokenized = tokenized(self._tokenization.texts(asked.groups), tensors, together)
        arrival = {ARRIVED_NS: arrival_tensor(asked.call.arrived_s)} if self._tells_arrival else {}
        return reply(**{name: tensors[name][None] for name in self._tensors}, **arrival)  # (1, ...)

    @staticmethod
    def _give_up(queued: Sequence[QueuedRequest], error: BaseException) -> None:
        for request in queued:
            request.work.call.give_up(error)

    def finalize(self) -> None:
        """Let on the requests that wait, which Triton does not do, and end the threads. Where the server closes there
        is no next step to go on to."""
        while any(map(self._queue.waiting, LANES)) and not is_closing():
            time.sleep(POLL_S)
        self._queue.close()
        self._serving.join()
        if self._sent:
            self._sent.close()
        if self._tracing:
            self._tracing.close()
        self._metrics.close()


def _utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())  # Python knows at once whether a text is ASCII
