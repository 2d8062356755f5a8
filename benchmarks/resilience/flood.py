"""More requests than a server can answer, in an open loop: sent when they are due, whatever comes back.

The messages are made beforehand and the answers are not read, so that the flooder takes little of the processor that it
shares with the server.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import grpc
from tritonclient.grpc import service_pb2

from benchmarks.exported import MODEL

TIMEOUT_S = 2.0
END_S = 1.0
"""How much longer the server may take to say that the time is up; cancelled calls are dangerous to Triton 2.51."""
TOO_LATE = "was used up while the request waited"
"""What the door says to a request that it had let wait."""
PAUSE_S = 0.002
"""Of the flooder, between two looks whether the next requests are due."""
INFER = "/inference.GRPCInferenceService/ModelInfer"
PROBE = ("-m", "benchmarks.resilience.refusal_probe")


@dataclass
class Flood:
    """What became of the requests of a flood."""

    offered: int = 0
    answered_texts: int = 0
    late: int = 0
    took_s: float = 0.0
    """Until the last answer."""
    refusals_s: list[float] = field(default_factory=list)
    reasons: set[str] = field(default_factory=set)
    lags_s: list[float] = field(default_factory=list)
    """How much later than it wanted the flooder's event loop woke up."""
    probe: dict[str, list[float]] = field(default_factory=dict)
    """What `refusal_probe.py` printed."""


async def run_flood(url: str, requests: Sequence[list[str]], *, requests_per_s: float, seconds: float) -> Flood:
    """Send `requests` of texts, again and again, at a fixed rate, with a probe beside."""
    flood = Flood()
    messages = [(message_of(texts), len(texts)) for texts in requests]
    tasks: list[asyncio.Task[None]] = []
    probe = await asyncio.create_subprocess_exec(
        sys.executable, *PROBE, url, f"--seconds={seconds}", stdout=asyncio.subprocess.PIPE
    )
    begin_s = time.perf_counter()
    async with grpc.aio.insecure_channel(url) as channel:
        send = channel.unary_unary(INFER)
        while (elapsed_s := time.perf_counter() - begin_s) < seconds:
            while flood.offered < elapsed_s * requests_per_s:
                message = messages[flood.offered % len(messages)]
                tasks.append(asyncio.create_task(one(send, *message, flood)))
                flood.offered += 1
            slept_from_s = time.perf_counter()
            await asyncio.sleep(PAUSE_S)
            flood.lags_s.append(time.perf_counter() - slept_from_s - PAUSE_S)
        await asyncio.gather(*tasks)
    flood.took_s = time.perf_counter() - begin_s  # the answers of the last two seconds count, and their seconds too
    flood.probe = json.loads((await probe.communicate())[0])
    return flood


def message_of(texts: Sequence[str]) -> bytes:
    """A request as it goes over the wire."""
    request = service_pb2.ModelInferRequest(model_name=MODEL)
    request.inputs.add(name="text", datatype="BYTES", shape=[1, len(texts)])
    request.outputs.add(name="embedding")
    request.parameters["timeout"].int64_param = int(TIMEOUT_S * 1e6)
    encoded = [text.encode() for text in texts]
    request.raw_input_contents.append(b"".join(len(each).to_bytes(4, "little") + each for each in encoded))
    return bytes(request.SerializeToString())


async def one(send: Callable[..., Awaitable[object]], message: bytes, texts: int, flood: Flood) -> None:
    """One request of the flood."""
    begin_s = time.perf_counter()
    try:
        await send(message, timeout=TIMEOUT_S + END_S)
        flood.answered_texts += texts
    except grpc.aio.AioRpcError as error:
        details = error.details() or ""
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED or TOO_LATE in details:
            flood.late += 1
        elif error.code() is grpc.StatusCode.UNAVAILABLE:
            flood.refusals_s.append(time.perf_counter() - begin_s)
            flood.reasons.add(details)
        else:
            raise
