"""A server of texts over HTTP, started here and called by a client with one connection for each stream."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.closed_loop import Done, Load, as_tasks
from benchmarks.peers.worker import TOOLS
from benchmarks.places import installed_versions

START_S = 180.0
_REQUEST_S = 300.0


@dataclass(frozen=True, kw_only=True)
class HttpService:
    """A server that answers POST requests of JSON."""

    command: Sequence[str | Path]
    """Starts it."""
    url: str
    """Where texts go."""
    body: Callable[[list[str]], Any]
    """Texts -> the JSON of a request."""
    rows: Callable[[Any], Sequence[Any]]
    """The JSON of an answer -> the vector of each text, in the form in which it came."""
    environment: str
    """Of benchmarks/environments, in which it runs."""
    package: str
    """The peer's own, whose version counts beside those of its parts."""
    settings: Mapping[str, str]
    """Environment variables beside those of this process."""
    vector: Callable[[Any], Sequence[float]] = list
    """One of these -> its numbers."""
    folder: Path | None = None
    """Where it is started."""


class HttpPeer:
    """A process of such a server.

    Raises:
        SystemExit: it did not answer in time, or ended.
    """

    def __init__(self, service: HttpService) -> None:
        self._service = service
        self.versions = installed_versions(service.environment, service.package, *TOOLS)
        self._process = subprocess.Popen(
            list(map(str, service.command)),
            env={**os.environ, "PYTHONPATH": "", **service.settings},
            cwd=service.folder,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            asyncio.run(self._wait())
        except BaseException:
            self.close()
            raise

    async def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        problem = "it never answered"
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise SystemExit(f"its server ended with exit code {self._process.returncode} while it started")
            try:
                async with aiohttp.ClientSession() as session:
                    await self.ask(session, ["a text", "another text"])
                    return
            except (aiohttp.ClientError, RuntimeError, OSError) as error:
                problem = str(error)
            await asyncio.sleep(0.25)
        raise SystemExit(f"its server did not answer within {START_S:.0f} s: {problem[:300]}")

    def run(self, load: Load, variant: str) -> Done:
        """Send the load."""
        return asyncio.run(self._run(load))

    async def _run(self, load: Load) -> Done:
        timeout = aiohttp.ClientTimeout(total=_REQUEST_S)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            return await as_tasks(load, lambda texts: self.ask(session, texts))

    def embed(self, texts: list[str], variant: str) -> list[Sequence[float]]:
        """Their vectors, asked for in requests of 32 texts."""

        async def ask() -> list[Sequence[float]]:
            timeout = aiohttp.ClientTimeout(total=_REQUEST_S)
            async with aiohttp.ClientSession(timeout=timeout) as session:
                parts = [await self.ask(session, texts[begin : begin + 32]) for begin in range(0, len(texts), 32)]
            return [self._service.vector(row) for part in parts for row in part]

        return asyncio.run(ask())

    async def ask(self, session: aiohttp.ClientSession, texts: list[str]) -> Sequence[Any]:
        """Ask it once, for the vector of each text in the form in which it comes.

        Raises:
            RuntimeError: it answered with another status than 200, or not a row for each text.
        """
        async with session.post(self._service.url, json=self._service.body(texts)) as response:
            if response.status != 200:
                raise RuntimeError(f"status {response.status}: {(await response.text())[:300]}")
            rows = self._service.rows(await response.json())
        if len(rows) != len(texts):
            raise RuntimeError(f"{len(rows)} rows for {len(texts)} texts")
        return rows

    def padding(self) -> float | None:
        """It cannot be seen from outside."""
        return None

    def close(self) -> None:
        """End the server and all that it started."""
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
