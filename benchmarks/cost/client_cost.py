"""What the SDK itself costs: CPU time for each text, against a server that does nothing.

    python -m benchmarks.cost.client_cost [--texts 20000] [--size 32] [--profile]

The transport stands where gRPC does: it takes the request's protobuf in bytes and gives the answer's, so that
everything that the SDK does is counted, and neither a network nor a server is. CPU time, so other work on the machine
counts little.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import statistics
import time
from collections.abc import Callable, Mapping
from typing import NoReturn

import numpy as np
from tritonclient.grpc import service_pb2

from benchmarks.workloads import WORDS
from encserve import AsyncClient, Client, InferRequest, InferResponse, ServedModel
from encserve._transport.wire import request_to_proto, response_from_proto, response_to_proto
from encserve.testing import fake_pipeline

DIMENSIONS = 384
PIPELINE = fake_pipeline(dimensions=DIMENSIONS)
REPEATS = 5


class Null:
    """A transport without a network: bytes out, and ready bytes in."""

    def __init__(self) -> None:
        self._answers: dict[int, bytes] = {}
        self._id = ""

    def infer(self, request: InferRequest, *, timeout_s: float) -> InferResponse:
        """The answer that was made for as many texts before."""
        raw = request_to_proto(request).SerializeToString()
        assert raw
        return response_from_proto(service_pb2.ModelInferResponse.FromString(self._answer(len(request.inputs["text"]))))

    def stream(self, request: InferRequest, *, timeout_s: float) -> NoReturn:
        """Nothing is asked that has several responses."""
        raise AssertionError(request.model)

    def give_up(self, request: InferRequest) -> None:
        """All requests are answered."""

    def _answer(self, texts: int) -> bytes:
        if texts not in self._answers:
            tensors = {
                "embedding": np.ones((1, texts, DIMENSIONS), np.float32),
                "token_count": np.ones((1, texts), np.int32),
                "dropped_count": np.zeros((1, texts), np.int32),
            }
            proto = response_to_proto(tensors, model="fake", version="1", request_id="")
            self._answers[texts] = proto.SerializeToString()
        return self._answers[texts]

    def pipeline_config(self, model: str, *, version: str = "", timeout_s: float) -> Mapping[str, str]:
        """The fake pipeline's."""
        return PIPELINE.to_parameters()

    def pipelines(self, *, timeout_s: float) -> list[ServedModel]:
        """None."""
        return []

    def close(self) -> None:
        """Nothing is open."""


class AsyncNull:
    """`Null`, awaited; each answer comes in a later turn of the event loop, as from a network."""

    def __init__(self) -> None:
        self._null = Null()

    async def infer(self, request: InferRequest, *, timeout_s: float) -> InferResponse:
        """The answer that was made for as many texts before."""
        await asyncio.sleep(0)
        return self._null.infer(request, timeout_s=timeout_s)

    async def stream(self, request: InferRequest, *, timeout_s: float) -> NoReturn:
        """Nothing is asked that has several responses."""
        raise AssertionError(request.model)

    def give_up(self, request: InferRequest) -> None:
        """All requests are answered."""

    async def pipeline_config(self, model: str, *, version: str = "", timeout_s: float) -> Mapping[str, str]:
        """The fake pipeline's."""
        return PIPELINE.to_parameters()

    async def pipelines(self, *, timeout_s: float) -> list[ServedModel]:
        """None."""
        return []

    async def close(self) -> None:
        """Nothing is open."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.cost.client_cost", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=32, help="texts of a request")
    parser.add_argument("--profile", action="store_true", help="also say which functions take the time")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    lengths = rng.lognormal(3.22, 0.8, arguments.texts).clip(1, 254).astype(int)
    texts = [" ".join(rng.choice(WORDS, length)) for length in lengths]
    ways: dict[str, Callable[[], None]] = {
        f"Client, {arguments.size} texts a request": lambda: blocking(texts, arguments.size),
        f"AsyncClient, {arguments.size} texts a request": lambda: asyncio.run(awaited(texts, 4, arguments.size)),
        "AsyncClient, 32 callers of one text": lambda: asyncio.run(awaited(texts, 32, 1)),
        "AsyncClient(coalesce=False), 32 callers of one text": lambda: asyncio.run(
            awaited(texts, 32, 1, coalesce=False)
        ),
    }
    for name, way in ways.items():
        way()
        costs = [cpu_us(way) / len(texts) for _ in range(REPEATS)]
        print(f"{name:<52}{statistics.median(costs):7.1f} us of CPU a text, {min(costs):.1f} at least")
        if arguments.profile:
            profile = cProfile.Profile()
            profile.runcall(way)
            pstats.Stats(profile).sort_stats("tottime").print_stats(18)


def blocking(texts: list[str], size: int) -> None:
    """One request after the other."""
    with Client(transport=Null()) as client:
        for begin in range(0, len(texts), size):
            client.embed(texts[begin : begin + size], model="fake")


async def awaited(texts: list[str], streams: int, size: int, *, coalesce: bool = True) -> None:
    """Callers that send their next request when the last was answered."""
    requests = iter([texts[begin : begin + size] for begin in range(0, len(texts), size)])

    async with AsyncClient(transport=AsyncNull(), coalesce=coalesce) as client:

        async def stream() -> None:
            for request in requests:
                await client.embed(request, model="fake")

        await asyncio.gather(*(stream() for _ in range(streams)))


def cpu_us(way: Callable[[], None]) -> float:
    """CPU time of this process for one run, in microseconds."""
    begin = time.process_time()
    way()
    return (time.process_time() - begin) * 1e6


if __name__ == "__main__":
    main()
