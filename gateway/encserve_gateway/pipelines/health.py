"""Whether the pipelines live: each is asked a real question, and who refuses it for lack of room lives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Container, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from encserve import AsyncClient, EncserveError, Overloaded, PipelineInfo
from encserve_gateway.faults import Fault
from encserve_gateway.pipelines.upstream import Upstream

FRESH_S = 1.0
"""How long what was seen holds, in seconds: checks that come together ask once."""

TIMEOUT_S = 2.0
"""Seconds that a pipeline has for its answer."""

TEXT = "ready"
ASKED: Mapping[str, Any] = {"timeout_s": TIMEOUT_S, "version": "active"}
"""How each is asked: a candidate of a pipeline that fails takes nothing from the pipeline."""

QUESTIONS: Mapping[str, Callable[[AsyncClient, PipelineInfo], Awaitable[object]]] = {
    "feature-extraction": lambda client, about: client.embed([TEXT], model=about.name, **ASKED),
    "token-embedding": lambda client, about: client.embed_tokens([TEXT], model=about.name, **ASKED),
    "late-interaction": lambda client, about: client.embed_tokens([TEXT], model=about.name, **ASKED),
    "hybrid-embedding": lambda client, about: client.embed_hybrid([TEXT], model=about.name, **ASKED),
    "sparse-embedding": lambda client, about: client.embed_sparse([TEXT], model=about.name, **ASKED),
    "text-classification": lambda client, about: client.classify(
        [TEXT], text_pairs=[TEXT] if about.pairs else None, model=about.name, **ASKED
    ),
    "text-ranking": lambda client, about: client.rerank(TEXT, [TEXT], model=about.name, **ASKED),
    "token-classification": lambda client, about: client.classify_tokens([TEXT], model=about.name, **ASKED),
    "question-answering": lambda client, about: client.answer(TEXT, TEXT, model=about.name, **ASKED),
    "fill-mask": lambda client, about: client.fill_mask([about.mask_token], model=about.name, **ASKED),
    "zero-shot-classification": lambda client, about: client.classify_zero_shot(
        [TEXT], [TEXT], model=about.name, **ASKED
    ),
    "zero-shot-token-classification": lambda client, about: client.extract_entities(
        [TEXT], [TEXT], model=about.name, **ASKED
    ),
    "text2text-generation": lambda client, about: client.generate(
        [TEXT], model=about.name, max_new_tokens=1, min_new_tokens=0, **ASKED
    ),
}
"""One question per task."""


class State(Enum):
    """How a pipeline is."""

    READY = "ready"
    OVERLOADED = "overloaded"
    """It lives, and has no room for a question now: no reason to start anything again."""
    SILENT = "silent"
    """It gives no answer, or an error."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """How the pipelines were when they were last asked."""

    pipelines: Mapping[str, State]
    """By name; empty where the server does not even say which there are."""

    @property
    def lives(self) -> bool:
        """Whether there is a pipeline that lives."""
        return any(state is not State.SILENT for state in self.pipelines.values())

    @property
    def state(self) -> State:
        """That of the whole: ready where one is."""
        states = set(self.pipelines.values())
        return next((state for state in State if state in states), State.SILENT)

    def as_json(self, named: Container[str] | None) -> dict[str, Any]:
        """The report as the body of a response; of pipelines it has those that are `named`, of None not even how many
        there are."""
        if named is None:
            return {"status": self.state.value}
        pipelines = {name: state.value for name, state in self.pipelines.items() if name in named}
        return {"status": self.state.value, "pipelines": pipelines}


class Health:
    """Asks the pipelines of an upstream, for all who want to know at the same time once."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._asking: asyncio.Task[Report] | None = None
        self._seen: Report | None = None
        self._seen_at_s = 0.0

    async def report(self) -> Report:
        """How the pipelines are, a second ago at most."""
        if self._seen is not None and time.monotonic() - self._seen_at_s < FRESH_S:
            return self._seen
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        # A check whose caller goes away must not take the answer from the others.
        return await asyncio.shield(self._asking)

    async def _ask(self) -> Report:
        try:
            served = await self._upstream.all()
        except Fault:
            self._seen = Report(pipelines={})
        else:
            pipelines = {each.pipeline.name: each.pipeline for each in served}
            states = await asyncio.gather(*map(self._state, pipelines.values()))
            self._seen = Report(pipelines=dict(zip(pipelines, states, strict=True)))
        self._seen_at_s = time.monotonic()
        return self._seen

    async def _state(self, pipeline: PipelineInfo) -> State:
        if pipeline.task not in QUESTIONS:
            return State.READY  # what it says of itself is all that there is to know
        try:
            await QUESTIONS[pipeline.task](self._upstream.client, pipeline)
        except Overloaded:
            return State.OVERLOADED
        except EncserveError:
            return State.SILENT
        return State.READY
