"""A server of known speed: c places, a constant service time, and a stall when wanted."""

import asyncio
from collections.abc import Mapping

import numpy as np

from encserve import AsyncClient, InferRequest
from encserve.testing import AsyncFakeTransport
from encserve_loadtest.measurement.bench import ALL_AT_ONCE, SEND_ONCE


class StubServer:
    """First come, first served: an M/D/c queue under Poisson arrivals."""

    def __init__(self, *, service_s: float, servers: int = 1, stall: tuple[float, float] = (0.0, 0.0)) -> None:
        self._service_s = service_s
        self._servers = servers
        self._stall_begin_s, self._stall_end_s = stall
        self._free: asyncio.Semaphore | None = None

    async def serve(self, index: int = 0) -> int:
        """Serve one request without the SDK, which is faster. Returns its tokens."""
        self._free = self._free or asyncio.Semaphore(self._servers)
        async with self._free:
            now_s = asyncio.get_running_loop().time()
            if self._stall_begin_s <= now_s < self._stall_end_s:
                await asyncio.sleep(self._stall_end_s - now_s)
            await asyncio.sleep(self._service_s)
        return TOKENS

    def client(self) -> AsyncClient:
        """The SDK, connected to this server."""
        return AsyncClient(
            transport=AsyncFakeTransport(self._answer), retry=SEND_ONCE, concurrency=ALL_AT_ONCE, timeout_s=1e6
        )

    async def _answer(self, request: InferRequest) -> Mapping[str, np.ndarray]:
        await self.serve()
        return tensors()


TOKENS = 10


def tensors() -> dict[str, np.ndarray]:
    """The answer to one text."""
    return {
        "embedding": np.ones((1, 1, 3), np.float32),
        "token_count": np.full((1, 1), TOKENS, np.int32),
        "dropped_count": np.zeros((1, 1), np.int32),
    }
