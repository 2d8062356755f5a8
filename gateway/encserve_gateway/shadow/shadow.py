"""Asks the candidate of a pipeline again what the active version was asked, once the caller has the answer.

It goes in bulk, so that it takes nothing from those who wait, and once: where the candidate has no room, or there are
many such questions already, it is dropped. No caller waits for it, or hears of it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any

from encserve import (
    Answer,
    AsyncClient,
    ContractError,
    EncserveError,
    InvalidInput,
    ModelNotFound,
    PipelineInfo,
    TransportError,
)
from encserve_gateway.faults import place_of
from encserve_gateway.shadow.counts import Counts
from encserve_gateway.shadow.differences import differences

LOG = logging.getLogger("encserve.gateway")

MOST_AT_ONCE = 8
"""Questions to candidates in flight, with their texts in memory, in a process."""
TIMEOUT_S = 10.0
HOW = {"priority": "bulk", "version": "candidate", "timeout_s": TIMEOUT_S}

Ask = Callable[[AsyncClient, dict[str, Any]], Awaitable[Answer]]
"""Asks a question: of a client, and how."""


class Shadow:
    """Asks candidates, for one process of a gateway.

    Args:
        connect: makes a client that asks once, in the event loop in which it is used.
        counts: what stays.
    """

    def __init__(self, connect: Callable[[], AsyncClient], counts: Counts) -> None:
        self._connect = connect
        self._counts = counts
        self._under_way: set[asyncio.Task[None]] = set()

    @cached_property
    def _client(self) -> AsyncClient:
        return self._connect()

    def offer(self, pipeline: PipelineInfo, ask: Ask, answer: Answer, seconds: float) -> None:
        """Ask the candidate, if there is one and its share of the traffic has come, what was answered just now."""
        candidate = pipeline.candidate
        if candidate is None or answer.version == candidate.version or random.random() >= candidate.shadow:
            return
        if len(self._under_way) >= MOST_AT_ONCE:
            self._counts.asked(pipeline.name, candidate.version, "dropped")
            return
        task = asyncio.get_running_loop().create_task(self._compare(pipeline, candidate.version, ask, answer, seconds))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def close(self) -> None:
        """Drop what is under way."""
        for task in self._under_way:
            task.cancel()
        if "_client" in vars(self):
            await self._client.close()

    async def _compare(self, pipeline: PipelineInfo, version: str, ask: Ask, answer: Answer, seconds: float) -> None:
        outcome, candidate = "failed", f"version {version} of {pipeline.name}"
        try:
            await self._compared(pipeline.name, version, ask, answer, seconds)
            outcome = "answered"
        except (TransportError, ModelNotFound):
            outcome = "dropped"
        except InvalidInput:  # whose words may be the caller's
            LOG.warning("%s refused a question asked again", candidate)
        except EncserveError as error:  # such as a text that gives NaN there
            LOG.warning("%s failed at a question asked again: %s", candidate, error)
        except Exception as error:  # nobody waits for this task, so nobody else would hear of it
            LOG.error("%s was not compared: %s at %s", candidate, type(error).__name__, place_of(error))
        self._counts.asked(pipeline.name, version, outcome)

    async def _compared(self, model: str, version: str, ask: Ask, answer: Answer, seconds: float) -> None:
        """Ask, compare, and count what differs. Raises EncserveError."""
        begun_s = time.perf_counter()
        theirs = await ask(self._client, HOW)
        took = {"active": seconds, "candidate": time.perf_counter() - begun_s}
        found = await asyncio.to_thread(
            differences, answer, theirs
        )  # others must not wait while it is about many texts
        if found is not None and not found.is_finite:
            raise ContractError("its answer has a number that is not finite")
        self._counts.took(model, version, took)
        if found is not None:
            self._counts.differs(model, version, found)
