"""The cascade step in Triton: the answers of a small pipeline where it is sure, else those of a large one.

Threads of the two lanes ask the two pipelines, one request at a time each, so that what waits in bulk keeps no
interactive request waiting. The pipelines ask nobody back, and so nobody waits in a circle. Questions of health, and
messages that a caller has given up, have threads of their own, and wait for none of the others.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..head.answers.bytes_tensor import bytes_tensor
from ..instance.failures import Failures
from ..instance.lanes import BULK, INTERACTIVE, LANES
from ..instance.load_page import is_closing
from ..instance.loops import Loop
from ..instance.metrics import Metrics
from ..instance.restarts import show_restarts
from ..instance.settings import read_settings, version_folder
from ..request.call import Call
from ..request.health import PARAMETER as HEALTH
from ..request.health import HealthQuestions
from ..request.options import InvalidArgument, OptionRules
from ..request.replies import cancelled, failed, invalid, reply, unavailable
from ..tokenize.door.admission_queue import Overloaded, estimate_tokens
from ..tokenize.door.lane_queue import QueuedRequest
from ..tokenize.door.queue_limits import queue_limits
from ..tokenize.limits import Limits, estimated_tokens
from ..trace.tracing import open_tracing
from .asked import Asked
from .cascade_trace import CascadeTrace, asking, cascade_trace
from .counts import CascadeCounts
from .decisions import LARGE, SMALL, decisions_of, is_sure, merged
from .member import Member, MemberRefused, NotAsFitted, Question
from .refusals import Refusal
from .under_way import UnderWay
from .waiting import WaitingRequests

THREADS = {INTERACTIVE: 20, BULK: 8}
"""Requests that are under way at once. With a question of health and a message they are fewer than the 32 requests of
one model to others that the Python backend has under way."""

Work = TypeVar("Work")


class TritonPythonModel:
    """Takes requests from Triton, asks one pipeline or both, and sends what they say."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Read the settings, and see whether the two pipelines are those that they were fitted to."""
        folder = version_folder(args)
        settings = read_settings(folder)
        self._rules = OptionRules.from_settings(settings)
        self._limits = Limits.from_settings(settings)
        self._inputs: list[str] = settings["inputs"]
        self._small, self._large = (Member(role, settings[role], settings["outputs"]) for role in (SMALL, LARGE))
        self._threshold, self._review_threshold = settings["threshold"], settings["review_threshold"]
        self._metrics = Metrics(args)
        self._failures = Failures(args["model_name"], self._metrics, sees_texts=True)
        self._failures.expect(*LANES, "health", "cancel")
        self._tracing = open_tracing(args, step="_cascade", metrics=self._metrics, failures=self._failures)
        self._counts = CascadeCounts(self._metrics, settings, args["model_name"].removesuffix("_cascade"))
        show_restarts(self._metrics, args)
        self._health = HealthQuestions()
        self._unfit = ""
        try:
            for member in (self._small, self._large):
                member.check(folder.parent.parent)
        except NotAsFitted as error:  # which the other pipelines of the server have nothing to do with
            self._unfit = str(error)
        self._waiting = WaitingRequests(queue_limits(settings), THREADS)
        self._metrics.work(self._waiting.load)
        self._under_way = UnderWay()
        self._questions: queue.SimpleQueue[Asked | None] = queue.SimpleQueue()
        self._given_up: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._threads = [
            *(
                self._thread(lane, partial(self._waiting.take, lane), self._serve, lambda request: request.work.call)
                for lane in LANES
                for _ in range(THREADS[lane])
            ),
            self._thread("health", self._questions.get, self._answer_health, lambda asked: asked.call),
            self._thread("cancel", self._given_up.get, self._pass_on),
        ]
        self._metrics.start(self._failures.report)

    def _thread(
        self,
        name: str,
        take: Callable[[], Work | None],
        do: Callable[[Work], None],
        call_of: Callable[[Work], Call] | None = None,
    ) -> Any:
        """Begin to take work and do it, in a thread; what fails is reported, and its call is answered."""

        def give_up(work: Work, error: BaseException) -> None:
            if call_of is not None:
                call_of(work).give_up(error)

        return Loop(name, take=take, do=do, give_up=give_up, report=self._failures.report).start()

    def execute(self, requests: list[Any]) -> list[Any]:
        """Let each request wait for a thread of its lane; a wrong one fails alone."""
        calls = [Call(request, self._failures) for request in requests]
        for call in calls:
            if self._tracing:
                call.trace = cascade_trace(self._tracing, call)
            with call.guarded():
                if is_closing():
                    call.answer(unavailable("the server is closing and lets no new request in"))
                else:
                    self._admit(call)
        return [call.response for call in calls]

    def _admit(self, call: Call) -> None:
        """Let a call wait, or pass on that another is given up. Raises InvalidArgument."""
        options = self._rules.check(call.parameters)
        if options["cancel"]:
            call.trace = None
            self._cancel(options["cancel"])
            call.answer(cancelled(f"request {options['cancel']} is given up"))
            return
        inputs = {name: list(call.tensor(name)) for name in self._inputs}
        texts = {name: self._limits.decode(raw, name=name) for name, raw in inputs.items()}
        asked = Asked(call=call, inputs=inputs, options=options)
        if isinstance(trace := call.trace, CascadeTrace):
            trace.lane, trace.texts = options["lane"], asked.texts
        sent = sum(estimated_tokens(text) for own in texts.values() for text in own)
        if self._health.is_one(call.health_token, sent):
            call.keep()
            self._questions.put(asked)
        elif self._unfit:
            self._counts.unfit.add()
            call.answer(failed(self._unfit))
        else:
            call.keep()  # before it can be taken
            rows = zip(*(own * asked.texts if len(own) == 1 else own for own in texts.values()), strict=False)
            size = sum(len(text) for raw in inputs.values() for text in raw)
            self._put(asked, size=size, tokens=estimate_tokens([*rows], self._limits.max_length))

    def _put(self, asked: Asked, *, size: int, tokens: int) -> None:
        call, lane = asked.call, asked.options["lane"]
        request = QueuedRequest(
            lane=lane,
            texts=asked.texts,
            size=size,
            tokens=tokens,
            request_id=call.id,
            timeout_s=call.timeout_s,
            arrived_s=call.arrived_s,
            work=asked,
        )
        self._under_way.begin(asked)
        try:
            self._waiting.put(request)
        except Overloaded as error:
            self._under_way.end(asked)
            self._counts.door.refused.add(lane=lane, limit=error.limit)
            call.answer(unavailable(str(error)))

    def _cancel(self, request_id: str) -> None:
        self._counts.door.messages.add()
        self._under_way.give_up(request_id)
        for request in self._waiting.cancel(request_id):
            self._under_way.end(request.work)
            self._counts.door.cancelled.add(lane=request.lane)
            request.work.call.answer(cancelled("the caller gave the request up while it waited"))
        self._given_up.put(request_id)

    def _pass_on(self, request_id: str) -> None:
        """Tell both pipelines that a request is given up, which has its own id there."""
        for member in (self._small, self._large):
            member.give_up(request_id, self._inputs)

    def _serve(self, request: QueuedRequest) -> None:
        """Answer a request that waited."""
        asked: Asked = request.work
        try:
            self._answer(request, asked)
        finally:
            self._under_way.end(asked)

    def _answer(self, request: QueuedRequest, asked: Asked) -> None:
        if request.is_late(time.monotonic()):
            self._counts.door.late.add(lane=request.lane)
            asked.call.answer(unavailable(f"timeout of {request.timeout_s:g} s was used up while the request waited"))
            return
        began_s = time.monotonic()
        try:
            if isinstance(trace := asked.call.trace, CascadeTrace):
                trace.began_s = began_s
            answer, decided = self._ask_both(asked)
        except NotAsFitted as error:
            self._counts.unfit.add()
            asked.call.answer(failed(str(error)))
        except MemberRefused as error:
            self._refuse(asked, error)
        else:
            self._waiting.served(request, time.monotonic() - began_s)
            self._send(asked, answer, decided)
            self._counts.answered(request.lane, asked.call.arrived_s, answer, decided)

    def _ask_both(self, asked: Asked) -> tuple[dict[str, NDArray[Any]], list[str]]:
        """Ask the small pipeline, and the large one about the texts of which that is unsure.

        Returns the outputs (n, ...) of both, and the decision about each text.

        Raises:
            MemberRefused: one of them answered with an error, or nobody waits any more.
            NotAsFitted: the server serves another version of one of them.
        """
        self._check_wanted(asked)
        answer = self._ask(self._small, asked, asked.question())
        rows = np.flatnonzero(~is_sure(answer["score"][:, 0], self._threshold))
        unsure = np.zeros(len(rows), np.bool_)
        if len(rows):
            self._check_wanted(asked)
            large = self._ask(self._large, asked, asked.question(rows.tolist()))
            answer = merged(answer, rows, large)
            if self._review_threshold is not None:
                unsure = ~is_sure(large["score"][:, 0], self._review_threshold)
        return answer, decisions_of(len(answer["score"]), rows, unsure)

    def _ask(self, member: Member, asked: Asked, question: Question) -> dict[str, NDArray[Any]]:
        """Ask a pipeline, as `Member.ask` does, in the trace of the call."""
        with asking(self._tracing, asked.call.trace, member.role, member.model, question.texts) as parameters:
            return member.ask(replace(question, parameters={**question.parameters, **parameters}))

    def _check_wanted(self, asked: Asked) -> None:
        """Ask no pipeline for a caller who has gone. Raises MemberRefused."""
        if asked.given_up.is_set() or asked.call.is_given_up():
            raise MemberRefused(Refusal.CANCELLED, "the caller gave the request up")

    def _answer_health(self, asked: Asked) -> None:
        """Show that a text finds its way: through the small pipeline, which is asked in whatever version there is. A
        cascade that was fitted to another is no reason to start the server again."""
        try:
            question = asked.question()
            question = replace(question, parameters={**question.parameters, HEALTH: asked.call.health_token})
            answer = self._small.ask_any_version(question)
        except MemberRefused as error:
            self._refuse(asked, error)
        else:
            self._send(asked, answer, [SMALL] * len(answer["score"]))

    @staticmethod
    def _send(asked: Asked, answer: dict[str, NDArray[Any]], decided: Sequence[str]) -> None:
        tensors = {name: tensor[None] for name, tensor in answer.items()}  # (1, n, ...)
        asked.call.answer(reply(**tensors, decision=bytes_tensor(decided)[None]))

    def _refuse(self, asked: Asked, error: MemberRefused) -> None:
        message, call, lane = str(error), asked.call, asked.options["lane"]
        match error.kind:
            case Refusal.UNAVAILABLE:
                if error.role:
                    self._counts.door.refused.add(lane=lane, limit=error.role)
                else:
                    self._counts.door.late.add(lane=lane)
                call.answer(unavailable(message))
            case Refusal.CANCELLED:
                self._counts.door.cancelled.add(lane=lane)
                call.answer(cancelled(message))
            case Refusal.INVALID:
                call.answer(invalid(InvalidArgument(message)))
            case Refusal.FAILED:
                call.answer(failed(message))

    def finalize(self) -> None:
        """Answer what waits, and end the threads."""
        self._waiting.close()
        self._questions.put(None)
        self._given_up.put(None)
        for thread in self._threads:
            thread.join()
        if self._tracing:
            self._tracing.close()
        self._metrics.close()
