"""Leave a call that is not waited for any more, in place of cancelling it.

Triton of 2024 can die of a call that is cancelled, by its deadline too, in the moment in which it is answered
(triton-inference-server/server#7368, #8034). The two meet often: a server that was told how long its answer is waited
for gives up together with its caller. So the caller goes, and the call stays until the server has ended it.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import grpc

from encserve._messages import InferRequest

END_S = 1.0
"""How long a server may take to end a call that is not waited for any more, in seconds; after that it is cancelled."""

GIVE_UP_S = 1.0
"""How long a server may take to hear that an answer is not wanted any more, in seconds."""

HEARD_S = 0.8
"""For how long, from its beginning on, the closing of a client waits for servers to hear what is not wanted, in
seconds."""

ENDED_S = 0.8
"""For how long, from its beginning on, it waits for calls to end, in seconds."""

CHANNELS_S = 0.2
"""How long it waits after that for the channels to close, in seconds. It takes a thousandth of that, but where gRPC
hangs: a Ctrl-C in the moment in which a call begins can leave the call where gRPC waits for its end for ever."""


class ChannelClosed(Exception):
    """The channel was closed under a call."""


class GivenUp(Exception):
    """Nobody waits for the answer any more."""


def read_to_the_end(call: Any) -> None:
    """Read all that comes over a stream of `grpc`, which does not end before: it would be cancelled by its deadline."""
    with suppress(grpc.RpcError):
        for _ in call:
            pass


class Calls:
    """The calls of channels of `grpc`, those among them that their callers have left."""

    def __init__(self) -> None:
        self._calls: set[Any] = set()  # gRPC cancels a call that nobody holds
        self._leave: dict[Any, Callable[[], None]] = {}

    def result(self, call: Any, request: InferRequest, *, timeout_s: float) -> Any:
        """The answer to a call, which carries a request.

        Raises:
            grpc.RpcError: the call failed.
            TimeoutError: there was no answer in `timeout_s`. The call goes on.
            GivenUp: `leave` was called for the request. The call goes on.
        """
        ended = threading.Event()
        self._leave[request] = ended.set
        self.add(call)
        call.add_done_callback(lambda _: ended.set())
        try:
            if not ended.wait(timeout_s):
                raise TimeoutError
        finally:
            del self._leave[request]
        if not call.done():
            raise GivenUp
        return call.result()

    def leave(self, request: InferRequest) -> None:
        """End the wait for the answer to a request."""
        self._leave.get(request, lambda: None)()

    def add(self, call: Any) -> None:
        """Keep a call until it ends."""
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    def wait(self, end_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Wait until all calls have ended, or the clock says `end_s`."""
        for call in list(self._calls):
            with suppress(grpc.RpcError, grpc.FutureTimeoutError):
                call.result(max(end_s - clock(), 0.0))


def close(
    messages: Calls, calls: Calls, close_channels: Callable[[], None], *, clock: Callable[[], float] = time.monotonic
) -> None:
    """Wait for the messages that nobody waits, and for calls, then close the channels, which cancels what is left of
    them: all this within a second, whatever the servers do."""
    begin_s = clock()
    messages.wait(begin_s + HEARD_S, clock=clock)
    calls.wait(begin_s + ENDED_S, clock=clock)
    closing = threading.Thread(target=close_channels, name="encserve-close", daemon=True)
    closing.start()
    closing.join(CHANNELS_S)


class AsyncCalls:
    """The calls of channels of `grpc.aio`, those among them that their callers have left."""

    def __init__(self) -> None:
        self._calls: set[asyncio.Future[Any]] = set()

    async def result(self, call: Awaitable[Any], *, timeout_s: float) -> Any:
        """The answer to a call. A cancelled caller leaves it, too.

        Raises:
            grpc.RpcError: the call failed.
            TimeoutError: there was no answer in `timeout_s`. The call goes on.
            ChannelClosed: the channel was closed, which gRPC says as if the caller had been cancelled.
        """
        future = self.add(call)
        await asyncio.wait([future], timeout=timeout_s)
        if not future.done():
            raise TimeoutError
        if future.cancelled():
            raise ChannelClosed
        return future.result()

    def add(self, call: Awaitable[Any]) -> asyncio.Future[Any]:
        """Keep a call until it ends."""
        future = asyncio.ensure_future(call)
        self._calls.add(future)
        future.add_done_callback(self._ended)
        return future

    async def wait(self, end_s: float) -> None:
        """Wait until all calls have ended, or `time.monotonic()` says `end_s`."""
        if self._calls:
            await asyncio.wait(set(self._calls), timeout=max(end_s - time.monotonic(), 0.0))

    def _ended(self, future: asyncio.Future[Any]) -> None:
        self._calls.discard(future)
        if not future.cancelled():
            future.exception()  # or asyncio reports that nobody asked for it
