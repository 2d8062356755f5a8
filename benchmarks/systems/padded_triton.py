"""Triton as its tutorials do it: padded tensors, a separate tokenizer, dynamic batching; with Triton's own client."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from tritonclient.grpc import InferenceServerClient, aio
from tritonclient.grpc import InferInput as Input
from tritonclient.utils import InferenceServerException

from benchmarks.closed_loop import Done, Load, as_tasks
from benchmarks.exported import CHECKPOINT, padded_graph
from benchmarks.places import REPOSITORY_ROOT
from benchmarks.systems.perf_analyzer import perf_analyzer
from encserve_server.config import LOOPBACK, ServeConfig
from encserve_server.host.locate import find_triton
from encserve_server.host.platform import has_nvidia_driver, read_host
from encserve_server.launcher.environment import wheel_environment
from encserve_server.launcher.flags import triton_flags, wheel_flags
from encserve_server.launcher.ports import free_ports
from encserve_server.launcher.runtime_folder import create_runtime_folder
from encserve_server.processes.process import TritonProcess
from encserve_server.processes.program import Program

MAX_BATCH = 64
START_S = 90.0
SECRET = "benchmark-of-padding"  # of a server on loopback that holds nothing
SOURCES = REPOSITORY_ROOT / "benchmarks" / "servers" / "padded_triton"

TOKENIZE = """
backend: "python" max_batch_size: 64
input [{ name: "text" data_type: TYPE_STRING dims: [1] }]
output [
  { name: "input_ids" data_type: TYPE_INT64 dims: [-1] }, { name: "attention_mask" data_type: TYPE_INT64 dims: [-1] }
]
dynamic_batching {}
"""
ENCODE = """
backend: "python" max_batch_size: 64
input [
  { name: "input_ids" data_type: TYPE_INT64 dims: [-1] }, { name: "attention_mask" data_type: TYPE_INT64 dims: [-1] }
]
output [{ name: "embedding" data_type: TYPE_FP32 dims: [384] }]
dynamic_batching {}
"""
ENSEMBLE = """
platform: "ensemble" max_batch_size: 64
input [{ name: "text" data_type: TYPE_STRING dims: [1] }]
output [{ name: "embedding" data_type: TYPE_FP32 dims: [384] }]
ensemble_scheduling { step [
  { model_name: "tokenize" model_version: -1
    input_map { key: "text" value: "text" }
    output_map { key: "input_ids" value: "ids" } output_map { key: "attention_mask" value: "mask" } },
  { model_name: "encode" model_version: -1
    input_map { key: "input_ids" value: "ids" } input_map { key: "attention_mask" value: "mask" }
    output_map { key: "embedding" value: "embedding" } }
] }
"""


class System:
    """Variants: Triton's Python client with asyncio, and perf_analyzer."""

    def __init__(self) -> None:
        self._repository = tempfile.TemporaryDirectory()
        repository = Path(self._repository.name)
        write_repository(repository)
        http_port, grpc_port, metrics_port = free_ports(3)
        self._url = f"{LOOPBACK}:{grpc_port}"
        config = ServeConfig(repository=repository, http_port=http_port, grpc_port=grpc_port, metrics_port=metrics_port)
        installation, host = find_triton(), read_host()
        wheel = installation.wheel
        self._folder = create_runtime_folder()
        flags = triton_flags(
            config,
            pipelines=["minilm"],
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

    def padding(self) -> float | None:
        return None

    def close(self) -> None:
        self._process.stop(5)
        self._folder.remove()
        self._repository.cleanup()


async def _embed(client: Any, texts: list[str]) -> None:
    """In requests of at most `MAX_BATCH` texts, all under way together."""

    async def one(part: list[str]) -> None:
        tensor = Input("text", [len(part), 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[text.encode()] for text in part], np.object_))
        answer = await client.infer("minilm", [tensor])
        assert answer.as_numpy("embedding").shape == (len(part), 384)

    await asyncio.gather(*(one(texts[begin : begin + MAX_BATCH]) for begin in range(0, len(texts), MAX_BATCH)))


def write_repository(repository: Path) -> None:
    """The three models."""
    for name, config in (("tokenize", TOKENIZE), ("encode", ENCODE), ("minilm", ENSEMBLE)):
        version = repository / name / "1"
        version.mkdir(parents=True)
        (repository / name / "config.pbtxt").write_text(config)
        if name != "minilm":
            shutil.copyfile(SOURCES / f"{name}.py", version / "model.py")
    shutil.copyfile(CHECKPOINT / "tokenizer.json", repository / "tokenize" / "1" / "tokenizer.json")
    shutil.copyfile(padded_graph(), repository / "encode" / "1" / "model.onnx")
