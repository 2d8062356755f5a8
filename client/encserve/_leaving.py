"""Leave a call that is not waited for any more, in place of cancelling it.

Triton of 2024 can die of a call that is cancelled, by its deadline too, in the moment in which it is answered
(triton-inference-server/server#7368, #8034). The two meet often: a server that was told how long its answer is waited
for gives up together with its caller. So the caller goes, and the call stays until the server has ended it.
"""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

import grpc

END_S = 1.0
"""How long a server may take to end a call that is not waited for any more; after that the call is cancelled."""


class Calls:
    """The calls of a channel of `grpc`, those among them that their callers have left."""

    def __init__(self) -> None:
        self._calls: set[Any] = set()  # gRPC cancels a call that nobody holds

    def result(self, call: Any, *, timeout_s: float) -> Any:
        """The answer to a call.

        Raises:
            grpc.RpcError: the call failed.
            TimeoutError: there was no answer in `timeout_s`. The call goes on.
        """
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        try:
            return call.result(timeout_s)
        except grpc.FutureTimeoutError:
            raise TimeoutError from None

    def wait(self) -> None:
        """Wait up to `END_S` until all calls have ended."""
        end_s = time.monotonic() + END_S
        for call in list(self._calls):
            with suppress(grpc.RpcError, grpc.FutureTimeoutError):
                call.result(end_s - time.monotonic())


class AsyncCalls:
    """The calls of a channel of `grpc.aio`, those among them that their callers have left."""

    def __init__(self) -> None:
        self._calls: set[asyncio.Future[Any]] = set()

    async def result(self, call: Awaitable[Any], *, timeout_s: float) -> Any:
        """The answer to a call. A cancelled caller leaves it, too.

        Raises:
            grpc.RpcError: the call failed.
            TimeoutError: there was no answer in `timeout_s`. The call goes on.
        """
        future = asyncio.ensure_future(call)
        self._calls.add(future)
        future.add_done_callback(self._ended)
        await asyncio.wait([future], timeout=timeout_s)
        if not future.done():
            raise TimeoutError
        return future.result()

    async def wait(self) -> None:
        """Wait up to `END_S` until all calls have ended."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=END_S)

    def _ended(self, future: asyncio.Future[Any]) -> None:
        self._calls.discard(future)
        if not future.cancelled():
            future.exception()  # or asyncio reports that nobody asked for it
