"""A server of texts over HTTP, started here and called by a client with one connection for each stream."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.closed_loop import Done, Load, as_tasks
from benchmarks.places import installed_versions
from benchmarks.worker import TOOLS

START_S = 180.0
_REQUEST_S = 300.0


class HttpPeer:
    """A process that answers POST requests of JSON.

    Args:
        command: starts it.
        url: where texts go.
        body: texts -> the JSON of a request.
        rows: the JSON of an answer -> how many texts it answers.
        environment: of benchmarks/environments, in which it runs.
        package: the peer's own, whose version counts beside those of its parts.
        settings: environment variables beside those of this process.

    Raises:
        SystemExit: it did not answer in time, or ended.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        url: str,
        body: Callable[[list[str]], Any],
        rows: Callable[[Any], int],
        environment: str,
        package: str,
        settings: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self._url, self._body, self._rows = url, body, rows
        self.versions = installed_versions(environment, package, *TOOLS)
        self._process = subprocess.Popen(
            list(map(str, command)),
            env={**os.environ, "PYTHONPATH": "", **(settings or {})},
            cwd=folder,
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
                    await self._embed(session, ["a text", "another text"])
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
            return await as_tasks(load, lambda texts: self._embed(session, texts))

    async def _embed(self, session: aiohttp.ClientSession, texts: list[str]) -> None:
        async with session.post(self._url, json=self._body(texts)) as response:
            if response.status != 200:
                raise RuntimeError(f"status {response.status}: {(await response.text())[:300]}")
            rows = self._rows(await response.json())
        if rows != len(texts):
            raise RuntimeError(f"{rows} rows for {len(texts)} texts")

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
