"""encserve, end to end: Triton with an exported pipeline, and three clients of it."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.closed_loop import Done, Load, as_tasks, on_threads
from benchmarks.exported import MODEL
from benchmarks.systems.perf_analyzer import perf_analyzer
from encserve import AsyncClient, Client, local_admin_secret
from encserve_server.config import ServeConfig
from encserve_server.launcher.ports import free_ports
from encserve_server.launcher.server import TritonServer
from encserve_server.steps.encode.recent_rows import SETTING as RECENT_ROWS

CONCURRENCY = 10_000
"""The load says how many requests are under way, and not the client."""


class System:
    """Variants: the SDK with `await`, the SDK on threads, and perf_analyzer, a client that is not ours."""

    def __init__(self, repository: str) -> None:
        # A run sends the same texts again and again, which a server must not get for nothing.
        os.environ[RECENT_ROWS] = "0"
        http_port, grpc_port, metrics_port = free_ports(3)
        self._stack = ExitStack()
        self._server = self._stack.enter_context(
            TritonServer(
                ServeConfig(
                    repository=Path(repository), http_port=http_port, grpc_port=grpc_port, metrics_port=metrics_port
                )
            )
        )

    def run(self, load: Load, variant: str) -> Done:
        url = self._server.grpc_url
        if variant == "perf_analyzer":
            return perf_analyzer(load, url=url, model=MODEL, secret=local_admin_secret(url) or "")
        if variant == "sync":
            with Client(url, concurrency=CONCURRENCY) as client:
                return on_threads(load, lambda texts: client.embed(texts, model=MODEL))
        return asyncio.run(self._with_await(load, url, coalesce=variant != "async, each alone"))

    def embed(self, texts: list[str], variant: str) -> NDArray[np.float32]:
        with Client(self._server.grpc_url) as client:
            return client.embed(texts, model=MODEL).vectors

    @staticmethod
    async def _with_await(load: Load, url: str, *, coalesce: bool) -> Done:
        async with AsyncClient(url, concurrency=CONCURRENCY, coalesce=coalesce) as client:
            return await as_tasks(load, lambda texts: client.embed(texts, model=MODEL))

    def padding(self) -> float | None:
        return None  # `benchmarks.peers.linear_rows` counts it in the graph

    def close(self) -> None:
        self._stack.close()
