"""Triton with a repository that is not encserve's (`triton_repositories`), and with Triton's own client."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient, aio
from tritonclient.grpc import InferInput as Input
from tritonclient.utils import InferenceServerException

from benchmarks.closed_loop import Done, Load, as_tasks
from benchmarks.systems.perf_analyzer import perf_analyzer
from benchmarks.systems.servers.triton_repositories import MAX_BATCH, REPOSITORIES
from encserve_server.config import LOOPBACK, ServeConfig
from encserve_server.host.locate import find_triton
from encserve_server.host.platform import has_nvidia_driver, read_host
from encserve_server.launcher.environment import wheel_environment
from encserve_server.launcher.flags import triton_flags, wheel_flags
from encserve_server.launcher.ports import free_ports
from encserve_server.launcher.runtime_folder import create_runtime_folder
from encserve_server.processes.process import TritonProcess
from encserve_server.processes.program import Program

START_S = 90.0
SECRET = "benchmark-of-padding"  # of a server on loopback that holds nothing


class System:
    """Variants: Triton's Python client with asyncio, and perf_analyzer."""

    def __init__(self, kind: str) -> None:
        self._repository = tempfile.TemporaryDirectory()
        repository = Path(self._repository.name)
        REPOSITORIES[kind](repository)
        http_port, grpc_port, metrics_port = free_ports(3)
        self._url = f"{LOOPBACK}:{grpc_port}"
        config = ServeConfig(repository=repository, http_port=http_port, grpc_port=grpc_port, metrics_port=metrics_port)
        installation, host = find_triton(), read_host()
        wheel = installation.wheel
        self._folder = create_runtime_folder()
        flags = triton_flags(
            config,
            pipelines=sorted(model.name for model in repository.iterdir()),  # no ensemble names what a front asks
            shm_prefix=self._folder.shm_prefix,
            admin_secret=SECRET,
            has_gpu=has_nvidia_driver(),
        )
        environment = dict(os.environ)
        if wheel is not None:
            flags += wheel_flags(backend_folder=self._folder.link_backends(wheel), cache_folder=wheel.cache_folder)
            environment = wheel_environment(os.environ, wheel=wheel, libpython=host.libpython)
        self._process = TritonProcess(
            Program(
                command=[str(installation.executable), *flags],
                environment=environment,
                inherited_fds=[self._folder.lock_fd],
                exit_timeout_s=config.exit_timeout_s,
            ),
            show=lambda line: print(line, file=sys.stderr),
            hidden=(),
        )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        with InferenceServerClient(self._url) as client:
            while time.monotonic() < deadline and self._process.is_alive:
                try:
                    if client.is_model_ready("minilm"):
                        return
                except InferenceServerException:
                    pass
                time.sleep(0.2)
        self.close()
        raise SystemExit(f"its server was not ready within {START_S:.0f} s")

    def run(self, load: Load, variant: str) -> Done:
        if variant == "perf_analyzer":
            return perf_analyzer(load, url=self._url, model="minilm", secret=SECRET, batched=True)
        return asyncio.run(self._run(load))

    async def _run(self, load: Load) -> Done:
        async with aio.InferenceServerClient(self._url) as client:
            return await as_tasks(load, lambda texts: _embed(client, texts))

    def embed(self, texts: list[str], variant: str) -> NDArray[np.float32]:
        async def ask() -> NDArray[np.float32]:
            async with aio.InferenceServerClient(self._url) as client:
                return await _embed(client, texts)

        return asyncio.run(ask())

    def padding(self) -> float | None:
        return None

    def close(self) -> None:
        self._process.stop(5)
        self._folder.remove()
        self._repository.cleanup()


async def _embed(client: Any, texts: list[str]) -> NDArray[np.float32]:
    """In requests of at most `MAX_BATCH` texts, all under way together."""

    async def one(part: list[str]) -> NDArray[np.float32]:
        tensor = Input("text", [len(part), 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[text.encode()] for text in part], np.object_))
        rows: NDArray[np.float32] = (await client.infer("minilm", [tensor])).as_numpy("embedding")
        assert rows.shape == (len(part), 384)
        return rows

    parts = (texts[begin : begin + MAX_BATCH] for begin in range(0, len(texts), MAX_BATCH))
    return np.concatenate(await asyncio.gather(*map(one, parts)))
