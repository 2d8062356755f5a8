"""Texts that are asked for at moments, each in a stream, whatever becomes of those before: in an open loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.generation.checkpoint import Request
from encserve import AsyncClient, EncserveError, Overloaded, Retry
from encserve._verbs.generate import GenerateOptions

WHOLE = ("eos", "length")
"""How a text ends that is whole."""
_TIME_IS_UP = "its timeout passed"
"""What a server says, shortly before its caller goes, of a text that it had let in, with the status of a refusal."""
LAG_EVERY_S = 0.01
"""How often it is looked how late the loop is."""


@dataclass
class Asked:
    """What became of the texts, in seconds from when each was asked for."""

    refused: list[tuple[float, float]] = field(default_factory=list)
    """Of each that was refused when that was, in seconds from the beginning, and how long it took."""
    first_s: list[float] = field(default_factory=list)
    whole_s: list[float] = field(default_factory=list)
    late: int = 0
    """Those that were let in, and whose time was up before they were whole."""
    broken: list[str] = field(default_factory=list)
    """Why others ended."""
    lags_s: list[float] = field(default_factory=list)
    """How late the loop itself came to what was due: what it says of the server is late by as much."""
    begun_s: float = field(default_factory=time.perf_counter)
    """When the first was due."""

    @property
    def refused_s(self) -> list[float]:
        """How long each refusal took."""
        return [took_s for _, took_s in self.refused]


def ask(
    url: str, model: str, asked: Sequence[Request], *, rate_per_s: float, seconds: float, timeout_s: float
) -> Asked:
    """Ask for so many texts a second, those of `asked` in turn, each with a timeout, and wait for all of them."""
    return asyncio.run(_ask(url, model, asked, rate_per_s, int(rate_per_s * seconds), timeout_s))


async def _ask(
    url: str, model: str, asked: Sequence[Request], rate_per_s: float, count: int, timeout_s: float
) -> Asked:
    async with AsyncClient(url, retry=Retry(attempts=1), concurrency=count + 1) as client:
        found, waiting = Asked(), set[asyncio.Task[None]]()
        looking = asyncio.create_task(_look(found.lags_s))
        for number in range(count):
            await asyncio.sleep(max(found.begun_s + number / rate_per_s - time.perf_counter(), 0.0))
            waiting.add(asyncio.create_task(one(client, model, asked[number % len(asked)], timeout_s, found)))
        await asyncio.gather(*waiting)
        looking.cancel()
        return found


async def _look(lags_s: list[float]) -> None:
    while True:
        due_s = time.perf_counter() + LAG_EVERY_S
        await asyncio.sleep(LAG_EVERY_S)
        lags_s.append(time.perf_counter() - due_s)


async def one(client: AsyncClient, model: str, request: Request, timeout_s: float, asked: Asked) -> None:
    """Ask for a text, and note what becomes of it."""
    begun_s, first_s = time.perf_counter(), 0.0
    new = request.new_tokens
    options: GenerateOptions = {"timeout_s": timeout_s, "min_new_tokens": new, "max_new_tokens": new}
    try:
        async with client.generate_stream(request.text, model=model, **options) as stream:
            async for _ in stream:
                first_s = first_s or time.perf_counter() - begun_s
    except Overloaded as error:
        if _TIME_IS_UP in str(error):
            asked.late += 1
        else:
            asked.refused.append((begun_s - asked.begun_s, time.perf_counter() - begun_s))
    except (EncserveError, TimeoutError) as error:
        if time.perf_counter() - begun_s >= timeout_s:
            asked.late += 1
        else:
            asked.broken.append(f"{type(error).__name__}: {error}"[:200])
    else:
        if stream.finish in WHOLE:
            asked.whole_s.append(time.perf_counter() - begun_s)
        else:
            asked.late += 1
    if first_s:
        asked.first_s.append(first_s)
