"""The systems that are compared: each takes all requests at once, and says how long that took and what it made."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmarks.generation.checkpoint import Request
from benchmarks.generation.exported import name_in
from benchmarks.places import interpreter
from benchmarks.processes import pause, resume
from encserve import AsyncClient
from encserve._verbs.generate import GenerateOptions
from encserve_export.config import Precision
from encserve_server.config import ServeConfig
from encserve_server.launcher.ports import free_ports
from encserve_server.launcher.server import TritonServer

SCRIPT = Path(__file__).parents[1] / "servers" / "seq2seq.py"
IN_FLIGHT = 32
"""Requests that encserve has at a time; the others take batches of 16."""
STREAMS = 16
BEAMS = 4
REFERENCE = "transformers"
"""By whose tokens a second those of all are divided, and whose tokens are the right ones."""
PEERS = {
    REFERENCE: "",
    "ctranslate2-float32": "ctranslate2",
    "ctranslate2-int8": "ctranslate2",
    "optimum": "seq2seq",
    "openvino": "seq2seq",
}
"""System -> the environment in which it runs; "" is our own."""
SEARCHING = (REFERENCE, "ctranslate2-float32")
"""Those that are measured with beams, too."""


def with_beams(system: str) -> str:
    """The name of a system with beams."""
    return f"{system}, {BEAMS} beams"


def reference_of(system: str) -> str:
    """By whose tokens a second those of a system are divided: of transformers, with beams where the system has them."""
    return with_beams(REFERENCE) if system.endswith(with_beams("")) else REFERENCE


@dataclass(frozen=True)
class Took:
    """One round of a system."""

    seconds: float
    tokens: int
    made: list[list[int]] | None
    """The tokens of each text; None where only texts are known."""

    @property
    def per_s(self) -> float:
        """Tokens made per second."""
        return self.tokens / self.seconds


@dataclass(frozen=True)
class Waits:
    """How long each text took that came at a moment of its own, in seconds from then."""

    first_s: list[float]
    """Until its first token, or the first piece of it."""
    whole_s: list[float]


class System(Protocol):
    """What is measured."""

    def make(self, asked: Sequence[Request]) -> Took:
        """Make the new texts of all requests."""


class Peer:
    """A system of other people in a process of its own, which stands still while others are measured."""

    def __init__(self, name: str, folder: Path, work: Path, *, threads: int) -> None:
        """Raises SystemExit where it is not installed, or does not start; says why."""
        python = str(interpreter(PEERS[name])) if PEERS[name] else sys.executable
        self._log = work / f"{name}.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [python, str(SCRIPT), name, str(folder), str(work), str(threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._line()
        pause(self._process.pid)

    def make(self, asked: Sequence[Request], *, beams: int = 1) -> Took:
        """Make them, each of its length."""
        return self._make([each.ids for each in asked], [each.new_tokens for each in asked], end=1, beams=beams)

    def as_they_come(self, asked: Sequence[Request], due_s: Sequence[float]) -> Waits:
        """Make texts that come at moments, seconds from the beginning; only of CTranslate2."""
        answer = self._ask(
            {"ids": [each.ids for each in asked], "new": [each.new_tokens for each in asked], "due": due_s}
        )
        return Waits(answer["first"], answer["whole"])

    def until_end(self, ids: Sequence[Sequence[int]], *, end: int, beams: int) -> list[list[int]]:
        """The tokens of texts that end by themselves."""
        made = self._make(ids, None, end=end, beams=beams).made
        assert made is not None
        return made

    def _make(self, ids: Sequence[Sequence[int]], new: Sequence[int] | None, *, end: int, beams: int) -> Took:
        answer = self._ask({"ids": ids, "new": new, "end": end, "beams": beams})
        return Took(answer["seconds"], sum(map(len, answer["tokens"])), answer["tokens"])

    def _ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        resume(self._process.pid)
        try:
            print(json.dumps(asked), file=self._process.stdin, flush=True)
            answer: dict[str, Any] = json.loads(self._line())
        finally:
            pause(self._process.pid)
        return answer

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            said = self._log.read_text().strip().splitlines() or ["it said nothing"]
            raise SystemExit(f"it ended: {said[-1][:300]}")
        return line

    def close(self) -> None:
        """End its process."""
        resume(self._process.pid)
        self._process.kill()
        self._process.wait()


class WithBeams:
    """A peer that looks for the best hypothesis by beams, in the process that it has."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def make(self, asked: Sequence[Request]) -> Took:
        """Make them, each of its length."""
        return self._peer.make(asked, beams=BEAMS)


class Served:
    """encserve over gRPC, so many requests at a time, each of one text; `streamed` takes them piece by piece."""

    def __init__(self, url: str, pid: int, model: str, *, in_flight: int, streamed: bool, beams: int) -> None:
        self._url, self.pid, self._model = url, pid, model
        self._in_flight, self._streamed, self._beams = in_flight, streamed, beams

    def make(self, asked: Sequence[Request]) -> Took:
        """Make them, each of its length."""
        resume(self.pid)
        try:
            return asyncio.run(self._make(asked))
        finally:
            pause(self.pid)

    def resume(self) -> None:
        """Let the server go on, which stands still behind each round."""
        resume(self.pid)

    def as_they_come(self, asked: Sequence[Request], due_s: Sequence[float]) -> Waits:
        """Make texts that come at moments, seconds from the beginning, each in a stream."""
        resume(self.pid)
        try:
            return asyncio.run(self._as_they_come(asked, due_s))
        finally:
            pause(self.pid)

    async def _as_they_come(self, asked: Sequence[Request], due_s: Sequence[float]) -> Waits:
        async with AsyncClient(self._url, timeout_s=600, concurrency=len(asked)) as client:
            await client.generate([asked[0].text], model=self._model, max_new_tokens=2)
            begun_s = time.perf_counter()

            async def one(request: Request, at_s: float) -> tuple[float, float]:
                await asyncio.sleep(max(at_s - (time.perf_counter() - begun_s), 0.0))
                first_s = 0.0
                async with client.generate_stream(
                    request.text,
                    model=self._model,
                    min_new_tokens=request.new_tokens,
                    max_new_tokens=request.new_tokens,
                ) as stream:
                    async for _ in stream:
                        first_s = first_s or time.perf_counter() - begun_s - at_s
                return first_s, time.perf_counter() - begun_s - at_s

            waits = await asyncio.gather(*map(one, asked, due_s))
        return Waits([first for first, _ in waits], [whole for _, whole in waits])

    async def _make(self, asked: Sequence[Request]) -> Took:
        gate = asyncio.Semaphore(self._in_flight)
        async with AsyncClient(self._url, timeout_s=600, coalesce=False, concurrency=self._in_flight) as client:

            async def one(request: Request) -> int:
                lengths: GenerateOptions = {
                    "min_new_tokens": request.new_tokens,
                    "max_new_tokens": request.new_tokens,
                    "num_beams": self._beams,
                }
                async with gate:
                    if not self._streamed:
                        answer = await client.generate([request.text], model=self._model, **lengths)
                        return int(answer.output_token_counts.sum())
                    async with client.generate_stream(request.text, model=self._model, **lengths) as stream:
                        async for _ in stream:
                            pass
                    assert stream.last is not None
                    return int(stream.last.output_token_counts.sum())

            await one(asked[0])
            begun_s = time.perf_counter()
            tokens = sum(await asyncio.gather(*map(one, asked)))
            return Took(time.perf_counter() - begun_s, tokens, None)


@contextmanager
def served(repository: Path) -> Iterator[dict[str, System]]:
    """encserve's systems, of one server."""
    with ExitStack() as cleanup:
        http_port, grpc_port, metrics_port = free_ports(3)
        config = ServeConfig(repository=repository, http_port=http_port, grpc_port=grpc_port, metrics_port=metrics_port)
        server = cleanup.enter_context(TritonServer(config))
        cleanup.callback(resume, server.pid)
        pause(server.pid)

        def asked(precision: Precision, *, in_flight: int, streamed: bool = False, beams: int = 1) -> Served:
            model = name_in(precision)
            return Served(server.grpc_url, server.pid, model, in_flight=in_flight, streamed=streamed, beams=beams)

        yield {
            "encserve-fp32": asked(Precision.FP32, in_flight=IN_FLIGHT),
            "encserve-int8": asked(Precision.INT8, in_flight=IN_FLIGHT),
            with_beams("encserve-fp32"): asked(Precision.FP32, in_flight=IN_FLIGHT, beams=BEAMS),
            "encserve-fp32, 16 in flight": asked(Precision.FP32, in_flight=STREAMS),
            "encserve-fp32, 16 streams": asked(Precision.FP32, in_flight=STREAMS, streamed=True),
        }
