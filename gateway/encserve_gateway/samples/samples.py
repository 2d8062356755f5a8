"""Keeps the texts of some requests, scrubbed, for keys that ask for it: a share of their requests, until a time.

Nobody waits for it. What is not scrubbed, or has no place, is not written, and counted.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable

import orjson
from prometheus_client import CollectorRegistry, Counter

from encserve import AsyncClient, EncserveError
from encserve_gateway.faults import place_of
from encserve_gateway.record import Record
from encserve_gateway.sample_config import SampleConfig
from encserve_gateway.samples.folder import Full, SampleFolder
from encserve_gateway.samples.scrubbing import CHARACTERS, Scrubber

LOG = logging.getLogger("encserve.gateway")

MOST_AT_ONCE = 4
"""Requests whose texts are scrubbed or written at once, in a process."""
TEXTS = 32
"""Of a request that are kept at most."""
TELL_S = 60.0
"""Between two lines in the log about what cannot be written."""
FORGET_S = 3_600.0
"""Between two looks for files that are too old, where nothing is written."""


class Samples:
    """The sampled texts of one process of a gateway.

    Args:
        config: where they are kept; None to keep none.
        connect: makes a client that asks once, in the event loop in which it is used.
        registry: has the counts.
        now: seconds since 1970.
        chance: draws from [0, 1).
    """

    def __init__(
        self,
        config: SampleConfig | None,
        connect: Callable[[], AsyncClient],
        registry: CollectorRegistry,
        *,
        now: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._config = config
        self._now = now
        self._chance = chance
        self._scrubber = Scrubber(connect, config.scrub_model if config else "")
        self._under_way: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None
        self._told_at_s = -TELL_S
        if config is None:
            return
        self._folder = SampleFolder(config.folder, max_bytes=config.max_bytes, days=config.days, now=now)
        counted = "Requests whose texts were to be kept: written, dropped, full, not_scrubbed or not_written."
        about = {"registry": registry, "namespace": "encserve_gateway"}
        self._counted = Counter("sampled_requests", counted, ("key", "outcome"), **about)  # type: ignore[arg-type]

    def begin(self) -> None:
        """Look for files that are too old, now and each hour, in the event loop that runs."""
        if self._config is not None:
            self._looking = asyncio.get_running_loop().create_task(self._forget_each_hour())

    def offer(self, record: Record, *, code: int) -> None:
        """Keep the texts of a request that was answered, where its key asks for it and its share has come."""
        key = record.key
        if self._config is None or not key.log_share or code != 200 or not record.asked:
            return
        if key.log_until_unix_s is None or self._now() >= key.log_until_unix_s or self._chance() >= key.log_share:
            return
        if len(self._under_way) >= MOST_AT_ONCE:
            self._counted.labels(key.name, "dropped").inc()
            return
        task = asyncio.get_running_loop().create_task(self._keep(record))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def close(self) -> None:
        """Drop what is under way."""
        for task in (*self._under_way, *([self._looking] if self._looking else [])):
            task.cancel()
        await self._scrubber.close()

    async def _keep(self, record: Record) -> None:
        outcome = "not_scrubbed"
        try:
            texts = await self._scrubber.scrub(record.asked[:TEXTS])
            outcome = "not_written"
            await asyncio.to_thread(self._folder.append, self._line(record, texts))
            outcome = "written"
        except Full:
            outcome = "full"
        except OSError as error:
            self._tell(f"cannot be written: {error.strerror}")
        except EncserveError as error:  # whose words may have a text
            self._tell(f"cannot be scrubbed, and is not written: {type(error).__name__}")
        except Exception as error:  # nobody waits for this task, so nobody else would hear of it
            self._tell(f"is not written: {type(error).__name__} at {place_of(error)}")
        self._counted.labels(record.key.name, outcome).inc()

    def _line(self, record: Record, texts: list[str]) -> bytes:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._now())),
            "request_id": record.request.id.decode(),
            "key": record.key.name,
            "route": record.path,
            "model": record.served.name if record.served else "",
            "version": record.last.version if record.last else "",
            "texts": texts,
            "left_out_texts": max(len(record.asked) - TEXTS, 0),
            "cut_texts": sum(len(text) > CHARACTERS for text in record.asked[:TEXTS]),
        }
        return orjson.dumps(line) + b"\n"

    def _tell(self, what: str) -> None:
        now_s = time.monotonic()
        if now_s - self._told_at_s >= TELL_S:
            self._told_at_s = now_s
            LOG.warning("a sampled request %s", what)

    async def _forget_each_hour(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._folder.forget)
            except OSError as error:
                self._tell(f"that is too old cannot be removed: {error.strerror}")
            await asyncio.sleep(FORGET_S)
