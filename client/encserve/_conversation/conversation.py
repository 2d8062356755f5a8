"""What a client says to a server, from a call to its answer: once, for both clients, and without I/O.

Each method is a generator. It yields what is to be done (`encserve._conversation.effects`), takes the outcome or the
error back, and returns its result. A shell on threads and one in an event loop hold it.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

from encserve._candidate import Candidate, candidate_model, is_candidate_model
from encserve._conversation.call import Call
from encserve._conversation.chunks import Chunk
from encserve._conversation.deadline import Deadline
from encserve._conversation.effects import Describe, Enter, Hand, Infer, ListModels, Next, Open, SideBySide, Sleep, Talk
from encserve._conversation.gate import Gate
from encserve._conversation.information import Information
from encserve._conversation.pin import Choice, FirstVersion, Pin
from encserve._conversation.retry import Contact, Schedule, retried
from encserve._conversation.settings import Settings
from encserve._conversation.streaming import streamed
from encserve._conversation.tally import Tally, VersionChanged, check_version
from encserve._errors import EncserveError, InvalidInput, ModelNotFound
from encserve._messages import InferResponse, ServedModel
from encserve._pipeline import PipelineInfo, is_pipeline
from encserve._results import Generations, Part, join


class Conversation:
    """The calls of one client, which share its places in flight and what it knows of pipelines."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._contact = Contact()
        self._information = Information(settings.retry, self._contact)
        self._gates: dict[tuple[str, str], Gate] = {}
        """One to each lane of each pipeline, as each has a queue of its own in the server."""
        self._prefix = secrets.token_hex(8)
        self._numbers = itertools.count()

    def whole(self, call: Call[Part]) -> Talk[Part]:
        """The answer to a call. Where two versions answered its requests it is asked anew; see `pin`."""
        active = yield from self._pipeline_for(call)
        call, pipeline = yield from self._drawn(call, active)
        choice = Choice()
        while True:
            try:
                if call.pin:
                    pipeline = yield from self._information.of_version(call.target, call.version, call.deadline)
                return (yield from self._gathered(call, pipeline))
            except (VersionChanged, ModelNotFound) as error:
                if call.target != call.model:
                    self._candidate_gone(call, error)
                    pipeline = active
                call = call.on(choice.after(call.pin, error))

    def parts(self, call: Call[Part]) -> Talk[None]:
        """Hand over the answers to consecutive texts of a call, in order, all of one version."""
        pipeline = yield from self._pipeline_for(call)
        call, pipeline = yield from self._drawn(call, pipeline)
        call = replace(call, pin=None, first_version=FirstVersion(call.pin))
        yield from self._each(call, pipeline, None)

    def streamed(self, call: Call[Generations]) -> Talk[None]:
        """Hand over the answer to a call about one text in the pieces in which it comes."""
        active = yield from self._pipeline_for(call)
        drawn, pipeline = yield from self._drawn(call, active)
        try:
            yield from self._in_pieces(drawn, pipeline)
        except ModelNotFound as error:  # which no stream says that has begun
            if drawn.target == call.model:
                raise
            self._candidate_gone(call, error)
            yield from self._in_pieces(call, active)

    def _in_pieces(self, call: Call[Generations], pipeline: PipelineInfo) -> Talk[None]:
        schedule = Schedule(self.settings.retry, call.deadline, self._contact)
        yield from streamed(call, pipeline, schedule, self._information, self._request_id)

    def part(self, call: Call[Part], pipeline: PipelineInfo, chunk: Chunk, deadline: Deadline) -> Talk[Part]:
        """The answer to a chunk of a call. Where that is to be of the version that answered first, one of another
        version is returned only if most replicas lack the first."""
        first = call.first_version
        if first is None or first.pin is None:
            part = yield from self._part(call, pipeline, chunk, deadline)
            if first is None or first.takes(part.version):
                return part
        assert first.pin is not None
        try:
            return (yield from self._part(call.on(first.pin), pipeline, chunk, deadline))
        except ModelNotFound as error:
            if first.pin.model:
                self._candidate_gone(call, error)
            return (yield from self._part(call, pipeline, chunk, deadline))

    def _part(self, call: Call[Part], pipeline: PipelineInfo, chunk: Chunk, deadline: Deadline) -> Talk[Part]:
        """The answer to a chunk of a call. Where the server refuses it and has other limits now than those under which
        it was made, its texts are sent again under these."""
        try:
            return (yield from self._answered(call, pipeline, chunk, deadline))
        except InvalidInput as error:
            changed = (yield from self._information.changed(pipeline, deadline)) if error.status else None
            if changed is None:
                raise
        pieces: list[Part] = []
        for smaller in call.smaller(chunk, call.limits(changed, self.settings.texts_per_request)):
            pieces.append((yield from self._answered(call, changed, smaller, deadline)))
            check_version(pieces[-1], pieces[0].version)
        return join(pieces)

    def pipeline(self, model: str, deadline: Deadline) -> Talk[PipelineInfo]:
        """The pipeline as it last answered, or as the server describes it."""
        return self._information.latest(model, deadline)

    def models(self, deadline: Deadline) -> Talk[list[PipelineInfo]]:
        """The pipelines that the server is ready to serve."""
        schedule = Schedule(self.settings.retry, deadline, self._contact)
        served: list[ServedModel] = yield from retried(ListModels, schedule)
        own = [each for each in served if not is_candidate_model(each.name)]
        described = yield SideBySide([partial(self._described, each, deadline) for each in own])
        return [pipeline for pipeline in described if pipeline is not None]

    def _described(self, model: ServedModel, deadline: Deadline) -> Talk[PipelineInfo | None]:
        """What a model says of itself; None if it is no pipeline, or is not there any more."""
        schedule = Schedule(self.settings.retry, deadline, self._contact, version=model.version)
        try:
            parameters = yield from retried(lambda left_s: Describe(model.name, model.version, left_s), schedule)
        except ModelNotFound:
            return None
        if not is_pipeline(parameters):
            return None
        return PipelineInfo.from_parameters(model.name, parameters, version=model.version)

    def _pipeline_for(self, call: Call[Part]) -> Talk[PipelineInfo]:
        """What the call is about, after checking that it takes the call. What may have changed is asked again."""
        pipeline = yield from self._information.latest(call.model, call.deadline)
        try:
            call.check(pipeline)
        except InvalidInput:
            changed = yield from self._information.changed(pipeline, call.deadline)
            if changed is None:
                raise
            pipeline = changed
            call.check(pipeline)
        return pipeline

    def _drawn(self, call: Call[Part], pipeline: PipelineInfo) -> Talk[tuple[Call[Part], PipelineInfo]]:
        """The call, asked of the candidate where that is to answer it, and what is said of whom it is asked."""
        candidate = pipeline.candidate
        if candidate is None and call.version_wanted == "candidate":
            raise ModelNotFound(f"{call.model!r} has no candidate now", model=call.model)
        if candidate is None or not self._is_for(candidate, call):
            return call, pipeline
        model = candidate_model(call.model)
        try:
            its = yield from self._information.of_candidate(model, candidate.version, call.deadline)
        except ModelNotFound as error:  # it is gone, or was never there
            self._candidate_gone(call, error)
            return call, pipeline
        call.check(its)
        return call.on(Pin(candidate.version, model=model)), its

    def _is_for(self, candidate: Candidate, call: Call[Part]) -> bool:
        """Whether the candidate is to answer a call.

        Without a caller each call is drawn by itself. Answers that are compared with each other are not, nor is bulk,
        whose answers stand side by side for long: these stay with the active version.
        """
        if call.version_wanted is not None:
            return call.version_wanted == "candidate"
        if call.caller is not None:
            return candidate.takes(call.model, call.caller)
        if call.verb.compared or call.lane == "bulk":
            return False
        return candidate.takes(call.model, self._request_id())

    def _candidate_gone(self, call: Call[Part], error: EncserveError) -> None:
        """Note that a candidate is not there. Raises the error where the call wants no other version."""
        self._information.candidate_gone(call.model)
        if call.version_wanted == "candidate":
            raise error

    def _gathered(self, call: Call[Part], pipeline: PipelineInfo) -> Talk[Part]:
        gathered = call.gather()
        yield from self._each(call, pipeline, gathered.put)
        return gathered.whole or call.nothing(pipeline)

    def _each(self, call: Call[Part], pipeline: PipelineInfo, put: Callable[[Part], None] | None) -> Talk[None]:
        """Ask for all parts of a call, and put each somewhere, or hand it over."""
        window = yield Open(call, pipeline)
        with Tally(call.total, progress=call.progress) as tally:
            while (part := (yield Next(window))) is not None:
                tally.add(part)
                if put:
                    put(part)
                else:
                    yield Hand(part)

    def _answered(self, call: Call[Part], pipeline: PipelineInfo, chunk: Chunk, deadline: Deadline) -> Talk[Part]:
        """The answer to one request, read by what the version says of itself that gave it."""
        response: InferResponse = yield from self._in_turn(call, pipeline, chunk, deadline)
        try:
            served = yield from self._information.of_version(call.target, response.version, deadline)
        except ModelNotFound:  # it is gone since it answered: the one that is there now shall
            response = yield from self._in_turn(call, pipeline, chunk, deadline)
            served = yield from self._information.of_version(call.target, response.version, deadline)
        return call.part(response, chunk, served)

    def _in_turn(
        self, call: Call[Part], pipeline: PipelineInfo, chunk: Chunk, deadline: Deadline
    ) -> Talk[InferResponse]:
        """The server's answer to a request, which waits for its turn in the gate."""
        gate = self._gate_of(call.target, call.lane)
        ticket = yield Enter(gate, chunk.size.tokens, deadline)
        answered = False
        try:
            if not ticket.granted:
                refusal = ticket.refusal or gate.never_sent(ticket)
                refusal.model = call.model
                raise refusal
            response = yield from self._inferred(call, pipeline, chunk, deadline)
            answered = True
        finally:
            gate.leave(ticket, answered=answered)
        return response

    def _inferred(
        self, call: Call[Part], pipeline: PipelineInfo, chunk: Chunk, deadline: Deadline
    ) -> Talk[InferResponse]:
        """The server's answer. Each attempt is a request of its own: an id that was given up must not come again."""
        schedule = Schedule(self.settings.retry, deadline, self._contact, version=call.version)
        with call.pin.asking() if call.pin else nullcontext():
            while True:
                request = call.request(chunk, pipeline, self._request_id())
                try:
                    response: InferResponse = yield Infer(request, schedule.left_s())
                except EncserveError as error:
                    delay_s = schedule.next_delay_s(error)
                    if delay_s is None or self._is_gone(call, error):
                        raise
                else:
                    schedule.answered()
                    return response
                yield Sleep(delay_s)

    def _is_gone(self, call: Call[Part], error: EncserveError) -> bool:
        """Whether an error says that the model is not there, or that most replicas lack the version of the call."""
        if not isinstance(error, ModelNotFound):
            return False
        if call.pin:
            return call.pin.refused()
        self._information.forget(call.model)
        return True

    def _request_id(self) -> str:
        return f"{self._prefix}-{next(self._numbers)}"

    def _gate_of(self, model: str, lane: str) -> Gate:
        gate = self._gates.get((model, lane))
        return gate or self._gates.setdefault((model, lane), Gate(self.settings.concurrency))
