"""Leave a call that is not waited for any more, in place of cancelling it.

Triton before 25.04 can die of a call that is cancelled, by its deadline too, in the moment in which it is answered
(triton-inference-server/server#7368, #8034). The two meet often: a server that was told how long its answer is waited
for gives up together with its caller. So the caller goes, and the call stays until the server has ended it.
"""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

import grpc

END_S = 1.0
"""How long a server may take to end a call that is not waited for any more; after that the call is cancelled."""
SHORT_S = 5.0
"""A timeout that is kept to the millisecond."""
LOOK_S = 0.002
"""Between two looks whether calls have ended."""


class Calls:
    """The calls of a channel of `grpc`, those among them that their callers have left."""

    def __init__(self) -> None:
        self._under_way: set[object] = set()  # gRPC cancels a call that nobody holds

    def result(self, method: Any, proto: Any, *, timeout_s: float, metadata: Any) -> Any:
        """Call a method of the stub; its answer.

        A call with little time is answered on a thread of gRPC, so that its caller can leave it. That costs a third of
        a millisecond, so one with more than `SHORT_S` is answered on the thread that makes it, which waits `END_S`
        longer for a server that says nothing.

        Raises:
            grpc.RpcError: the call failed.
            TimeoutError: there was no answer in `timeout_s`. The call goes on.
        """
        if timeout_s > SHORT_S:
            token = object()
            self._under_way.add(token)
            try:
                return method(proto, timeout=timeout_s + END_S, metadata=metadata)
            finally:
                self._under_way.discard(token)
        call = method.future(proto, timeout=timeout_s + END_S, metadata=metadata)
        self._under_way.add(call)
        call.add_done_callback(self._under_way.discard)
        try:
            return call.result(timeout_s)
        except grpc.FutureTimeoutError:
            raise TimeoutError from None

    def wait(self) -> None:
        """Wait up to `END_S` until all calls have ended."""
        end_s = time.monotonic() + END_S
        while self._under_way and time.monotonic() < end_s:
            time.sleep(LOOK_S)


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
