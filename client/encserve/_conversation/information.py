"""What a client knows of pipelines: each version asked once, and asked again where it may have changed."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from functools import partial

from encserve._candidate import candidate_model
from encserve._conversation.deadline import Deadline
from encserve._conversation.effects import Describe, Once, Talk
from encserve._conversation.retry import Contact, Retry, Schedule, retried
from encserve._errors import DeadlineExceeded, EncserveError, ModelNotFound
from encserve._pipeline import SERVED_VERSION_KEY, PipelineInfo

FRESH_S = 1.0
"""What was learned so short a time ago is not asked again, in seconds: a refusal then has other reasons."""


CANDIDATES_S = 10.0
"""What was learned so long ago is asked again, in seconds: there may be a candidate, or a share may have changed."""
REFRESH_S = 0.5
"""How long one call waits for that at most, in seconds. Other calls go on with what is known meanwhile, and so does
this one where there is no answer."""


class Information:
    """The pipelines of a server, by model and version."""

    def __init__(self, retry: Retry, contact: Contact) -> None:
        self._retry = retry
        self._contact = contact
        self._known: dict[tuple[str, str], PipelineInfo] = {}
        self._latest: dict[str, PipelineInfo] = {}
        self._learned_s: dict[str, float] = {}
        self._refresh_at_s: dict[str, float] = {}

    def latest(self, model: str, deadline: Deadline) -> Talk[PipelineInfo]:
        """The pipeline as it last answered, or as the server describes it; with its candidate as of a moment ago."""
        latest, now_s = self._latest.get(model), time.monotonic()
        if latest is None:
            return (yield from self._ask(model, "", deadline))
        if now_s < self._refresh_at_s.get(model, math.inf):
            return latest
        self._refresh_at_s[model] = now_s + CANDIDATES_S
        self._known.pop((model, ""), None)
        try:
            return (yield from self._ask(model, "", Deadline(min(REFRESH_S, deadline.left_s()))))
        except ModelNotFound:
            raise
        except EncserveError:  # the call finds out by itself what it means
            return latest

    def of_version(self, model: str, version: str, deadline: Deadline) -> Talk[PipelineInfo]:
        """The pipeline of the version that has just answered, which is the latest now."""
        pipeline = self._known.get((model, version)) or (yield from self._ask(model, version, deadline))
        self._latest[model] = pipeline
        return pipeline

    def of_candidate(self, model: str, version: str, deadline: Deadline) -> Talk[PipelineInfo]:
        """A candidate, by the model under which it is asked. A replica that lacks it is believed: the active version
        can answer in its place."""
        return self._known.get((model, version)) or (yield from self._ask(model, version, deadline, of_any=False))

    def changed(self, before: PipelineInfo, deadline: Deadline) -> Talk[PipelineInfo | None]:
        """Ask again what explains a refusal; None where the pipeline is what it was, or was asked a moment ago."""
        model = before.name
        if time.monotonic() - self._learned_s.get(model, 0.0) < FRESH_S:
            latest = self._latest.get(model)
        else:
            self.forget(model)
            latest = yield from self._ask(model, "", deadline)
        return latest if latest is not None and _rules(latest) != _rules(before) else None

    def candidate_gone(self, model: str) -> None:
        """Ask no candidate of a pipeline until what is known is asked again."""
        self.forget(candidate_model(model))
        if latest := self._latest.get(model):
            self._latest[model] = replace(latest, candidate=None)
        for key, pipeline in list(self._known.items()):  # which another thread may change meanwhile
            if key[0] == model:
                self._known[key] = replace(pipeline, candidate=None)

    def forget(self, model: str) -> None:
        """Ask anew the next time, and drop every version."""
        self._latest.pop(model, None)
        for key in list(self._known):  # which another thread may change meanwhile
            if key[0] == model:
                self._known.pop(key, None)

    def _ask(self, model: str, version: str, deadline: Deadline, *, of_any: bool = True) -> Talk[PipelineInfo]:
        """Ask about a version, where a replica lacks it `of_any` that has it."""
        talk = partial(self._described, model, version, deadline, of_any)
        try:
            pipeline: PipelineInfo = yield Once((model, version), talk, deadline.left_s())
        except DeadlineExceeded as error:
            error.model, error.timeout_s = model, deadline.timeout_s
            raise
        return pipeline

    def _described(self, model: str, version: str, deadline: Deadline, of_any: bool) -> Talk[PipelineInfo]:
        if known := self._known.get((model, version)):  # since another call has just heard it
            return known
        schedule = Schedule(self._retry, deadline, self._contact, version=version if of_any else "")
        try:
            parameters = yield from retried(lambda left_s: Describe(model, version, left_s), schedule)
        except ModelNotFound:
            if not version:
                self.forget(model)
            raise
        served = version or parameters.get(SERVED_VERSION_KEY, "")
        pipeline = PipelineInfo.from_parameters(model, parameters, version=served)
        self._known[model, version] = self._known[model, served] = self._latest[model] = pipeline
        self._learned_s[model] = time.monotonic()
        self._refresh_at_s[model] = self._learned_s[model] + CANDIDATES_S
        return pipeline


def _rules(pipeline: PipelineInfo) -> dict[str, object]:
    """All but the version, which the answer to a question that names none does not tell, and the candidate, which is
    another pipeline."""
    return {name: value for name, value in vars(pipeline).items() if name not in ("version", "candidate")}
