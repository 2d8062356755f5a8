"""How soon the slot of a text whose caller has gone is another text's.

    python -m benchmarks.generation.cancelled [--times 32] [--json FILE] [--tiny]

A T5 of the size of t5-small with random weights, exported with as few slots as `SLOTS`. All are taken by long texts,
and one text more waits. Then the caller of a text under way goes, by leaving a stream or by cancelling a call for the
whole text, and what is measured is the time until the text that waited has its first piece: until the server knows, the
step under way has ended, and the new text is encoded and has a token. The mean gap between two pieces says how long a
step takes meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.generation.checkpoint import Request, requests, write_checkpoint
from benchmarks.generation.exported import name_in
from benchmarks.machine import describe_machine
from encserve import AsyncClient
from encserve._verbs.generate import GenerateOptions
from encserve_export.config import ExportConfig, Precision
from encserve_export.export import export
from encserve_export.generation import files
from encserve_server.config import ServeConfig
from encserve_server.launcher.ports import free_ports
from encserve_server.launcher.server import TritonServer

MODEL = name_in(Precision.FP32)
SLOTS, TINY_SLOTS = 16, 4
NEW_TOKENS = 1_000
PAUSE_S = 0.1
"""So long a text has waited, and has no piece, when a caller goes: there was no slot for it."""
TIMEOUT_S = 600
"""Of each text: so much more than it takes that none waits for time, and is refused or late."""
FILLED_S = 0.5
"""In which calls for whole texts, of which nobody sees when they begin, have taken all slots."""
STREAM, CALL = "a stream is left", "a call is cancelled"


class Caller:
    """Asks for one long text, in a stream or as a whole."""

    def __init__(self, client: AsyncClient, request: Request, kind: str) -> None:
        self.pieces_s: list[float] = []
        """When its pieces came."""
        self._kind, self._began = kind, asyncio.Event()
        self._task = asyncio.create_task(self._ask(client, request))

    async def _ask(self, client: AsyncClient, request: Request) -> None:
        exactly: GenerateOptions = {"min_new_tokens": NEW_TOKENS, "max_new_tokens": NEW_TOKENS}
        if self._kind == CALL:
            await client.generate([request.text], model=MODEL, **exactly)
            return
        async with client.generate_stream(request.text, model=MODEL, **exactly) as stream:
            async for _ in stream:
                self.pieces_s.append(time.perf_counter())
                self._began.set()

    async def began(self) -> None:
        """Wait for the first piece. Raises RuntimeError where none comes."""
        began = asyncio.create_task(self._began.wait())
        await asyncio.wait({began, self._task}, return_when=asyncio.FIRST_COMPLETED)
        began.cancel()
        if not self.pieces_s:
            raise RuntimeError("a text had no piece") from self._task.exception()

    async def go(self) -> float:
        """Leave it. Returns when that was; raises RuntimeError where the text had ended before."""
        if self._task.done():
            raise RuntimeError("a text ended before its caller went") from self._task.exception()
        gone_s = time.perf_counter()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        return gone_s


def main() -> None:
    """Export with few slots, serve, and let one caller after the other go."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=32, help="that callers go in each of both ways, at least")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--tiny", action="store_true", help="a small network, to try the run itself")
    arguments = parser.parse_args()
    slots = TINY_SLOTS if arguments.tiny else SLOTS
    with tempfile.TemporaryDirectory(prefix="encserve-cancelled-") as folder:
        checkpoint, models = write_checkpoint(Path(folder) / "checkpoint", tiny=arguments.tiny), Path(folder) / "models"
        with patch.object(files, "ENGINE", replace(files.ENGINE, max_rows=slots)):
            export(ExportConfig(checkpoint=str(checkpoint), name=MODEL, repository=models))
        http_port, grpc_port, metrics_port = free_ports(3)
        config = ServeConfig(repository=models, http_port=http_port, grpc_port=grpc_port, metrics_port=metrics_port)
        with TritonServer(config) as server:
            asked = requests(checkpoint, 2 * slots, seed=3)
            figures = asyncio.run(_measure(server.grpc_url, asked, slots, arguments.times))
    for name, value in figures.items():
        print(f"{name:<56}{value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


async def _measure(url: str, asked: Sequence[Request], slots: int, times: int) -> dict[str, Any]:
    """The figures, by name."""
    figures: dict[str, Any] = {**describe_machine(), "slots": slots}
    async with AsyncClient(url, timeout_s=TIMEOUT_S, concurrency=4 * slots, coalesce=False) as client:
        for kind in (STREAM, CALL):
            freed_s, gaps_s = list[float](), list[float]()
            while len(freed_s) < times:
                await freed(client, asked, slots, kind, freed_s, gaps_s)
                await client.generate([asked[0].text], model=MODEL, max_new_tokens=2)  # another has gone by then
            figures[f"{kind}, until another has its slot, p50 / p95 / longest, ms"] = _ms(freed_s)
            figures[f"gap between pieces meanwhile, mean, ms, {kind}"] = round(statistics.mean(gaps_s) * 1e3, 1)
    return figures


async def freed(
    client: AsyncClient,
    asked: Sequence[Request],
    slots: int,
    kind: str,
    freed_s: list[float],
    gaps_s: list[float],
) -> None:
    """Fill all slots with texts of callers of one kind, and let one after the other go while another text waits. Adds
    the seconds of each, and those between pieces of the texts that waited.

    Raises:
        RuntimeError: a text had a slot before one was free, or ended before its caller went.
    """
    taken = [Caller(client, request, kind) for request in asked[:slots]]
    if kind == STREAM:
        for each in taken:
            await each.began()
    await asyncio.sleep(FILLED_S)
    later = []
    for each, request in zip(taken, asked[slots:], strict=True):
        waits = Caller(client, request, STREAM)
        later.append(waits)
        await asyncio.sleep(PAUSE_S)
        if waits.pieces_s:
            raise RuntimeError("a text had a slot before one was free")
        gone_s = await each.go()
        await waits.began()
        freed_s.append(waits.pieces_s[0] - gone_s)
    for each in later:
        gaps_s.extend(np.diff(each.pieces_s).tolist())
        await each.go()


def _ms(seconds: Sequence[float]) -> str:
    return " / ".join(f"{each * 1e3:,.0f}" for each in np.percentile(seconds, [50, 95, 100]))


if __name__ == "__main__":
    main()
