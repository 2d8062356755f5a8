"""Holds a conversation in an event loop, and the parts of a call in tasks."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Any, TypeVar

from encserve._conversation import effects
from encserve._conversation.call import Call
from encserve._conversation.chunks import Chunk, Chunker
from encserve._conversation.conversation import Conversation
from encserve._conversation.effects import Effect, Talk
from encserve._conversation.gate import Ticket
from encserve._errors import DeadlineExceeded, EncserveError
from encserve._pipeline import PipelineInfo
from encserve._shells.awaiting_arrivals import AwaitingArrivals
from encserve._shells.awaiting_window import as_they_come, in_order
from encserve._shells.coalesce import Coalescer
from encserve._shells.stop import Stop
from encserve._transport.seam import AsyncTransport

T = TypeVar("T")


class AwaitingShell:
    """Does what conversations ask for, through a transport. For one event loop at a time."""

    def __init__(
        self, conversation: Conversation, transport: AsyncTransport, *, max_delay_s: float | None = None
    ) -> None:
        """With `max_delay_s` calls share requests; see `Coalescer`."""
        self._conversation = conversation
        self._transport = transport
        self._once: dict[Any, asyncio.Future[Any]] = {}
        self._closed = Stop("the client is closed")
        self._coalescer = None
        if max_delay_s is not None:
            self._coalescer = Coalescer(self._part, conversation.settings, max_delay_s=max_delay_s)

    async def run(self, talk: Talk[T]) -> T:
        """Hold a conversation that hands nothing over, to its end. Raises what it raises."""
        windows: list[AsyncGenerator[Any, None]] = []
        proceed: Callable[[Any], Effect] = talk.send
        outcome: Any = None
        try:
            while True:
                try:
                    effect = proceed(outcome)
                except StopIteration as end:
                    result: T = end.value
                    return result
                try:
                    proceed, outcome = talk.send, await self._do(effect, windows)
                except BaseException as error:
                    proceed, outcome = talk.throw, error
        finally:
            talk.close()
            for window in windows:
                await window.aclose()

    async def parts(self, talk: Talk[None]) -> AsyncGenerator[Any, None]:
        """Hold a conversation; yields what it hands over. What it began ends with it, however it ends."""
        windows: list[AsyncGenerator[Any, None]] = []
        proceed: Callable[[Any], Effect] = talk.send
        outcome: Any = None
        try:
            while True:
                try:
                    effect = proceed(outcome)
                except StopIteration:
                    return
                if isinstance(effect, effects.Hand):
                    yield effect.part
                    proceed, outcome = talk.send, None
                    continue
                try:
                    proceed, outcome = talk.send, await self._do(effect, windows)
                except BaseException as error:
                    proceed, outcome = talk.throw, error
        finally:
            talk.close()
            for window in windows:
                await window.aclose()

    def close(self) -> None:
        """End all calls that are under way, and let no other begin."""
        self._closed()

    async def _do(self, effect: Effect, windows: list[AsyncGenerator[Any, None]]) -> Any:
        match effect:
            case effects.Infer(request, timeout_s):
                give_up = partial(self._transport.give_up, request)
                with self._closed.waking(give_up):
                    try:
                        return await self._transport.infer(request, timeout_s=timeout_s)
                    except asyncio.CancelledError:
                        give_up()
                        raise
            case effects.OpenStream(request, timeout_s):
                return await self._transport.stream(request, timeout_s=timeout_s)
            case effects.Receive(stream):
                with self._closed.waking(stream.cancel):
                    return await stream.next()
            case effects.Enter():
                return await self._entered(effect)
            case effects.Next(window):
                return await anext(window, None)
            case effects.Open(call, pipeline):
                while windows:  # of a call that is repeated
                    await windows.pop().aclose()
                windows.append(self._opened(call, pipeline))
                return windows[-1]
            case effects.Describe(model, version, timeout_s):
                return await self._transport.pipeline_config(model, version=version, timeout_s=timeout_s)
            case effects.Once():
                return await self._first_of(effect)
            case effects.Sleep(seconds):
                woken = asyncio.get_running_loop().create_future()
                with self._closed.waking(partial(_set, woken)):
                    return await asyncio.wait([woken], timeout=seconds)
            case effects.ListModels(timeout_s):
                return await self._transport.pipelines(timeout_s=timeout_s)
            case effects.SideBySide(talks):
                window = in_order(lambda talk: self.run(talk()), iter(talks), concurrency=effects.SIDE_BY_SIDE)
                windows.append(window)
                return [outcome async for outcome in window]
        raise AssertionError(effect)

    async def _entered(self, enter: effects.Enter) -> Ticket:
        decided = asyncio.get_running_loop().create_future()
        ticket = enter.gate.enter(enter.work, enter.deadline, partial(_set, decided))
        if not ticket.decided:
            try:
                await asyncio.wait([decided], timeout=max(enter.deadline.left_s(), 0.0))
            except BaseException:
                enter.gate.leave(ticket, answered=False)
                raise
        return ticket

    def _opened(self, call: Call[Any], pipeline: PipelineInfo) -> AsyncGenerator[Any, None]:
        settings = self._conversation.settings
        limits = call.limits(pipeline, settings.texts_per_request)
        chunks = call.chunks(limits)

        async def ask(chunk: Chunk) -> Any:
            if self._coalescer is None:
                return await self._part(call, pipeline, chunk, call.deadline)
            return await self._coalescer.part(call, pipeline, chunk)

        if not isinstance(chunks, Chunker):
            return in_order(ask, chunks, concurrency=settings.concurrency)
        arrivals = partial(AwaitingArrivals, call.texts, chunks, ahead=limits.max_texts)
        return as_they_come(ask, arrivals, concurrency=settings.concurrency, stop=self._closed)

    async def _part(self, *about: Any) -> Any:
        return await self.run(self._conversation.part(*about))

    async def _first_of(self, once: effects.Once) -> Any:
        """The outcome of a conversation that is held once at a time for each key."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + once.timeout_s
        while True:
            shared = self._once.get(once.key)
            if shared is None or shared.get_loop() is not loop:
                return await self._lead(once, loop.create_future())
            await asyncio.wait([shared], timeout=max(until_s - loop.time(), 0.0))
            if not shared.done():
                raise DeadlineExceeded("another call has asked the same, and has no answer yet")
            error = shared.exception()
            if error is None:
                return shared.result()
            assert isinstance(error, EncserveError)
            if once.shares(error):
                raise copy.copy(error) from error.__cause__

    async def _lead(self, once: effects.Once, own: asyncio.Future[Any]) -> Any:
        self._once[once.key] = own
        try:
            outcome = await self.run(once.talk())
        except BaseException as error:
            interrupted = DeadlineExceeded("the call that asked was interrupted")
            own.set_exception(error if isinstance(error, EncserveError) else interrupted)
            own.exception()  # or asyncio reports that nobody asked for it
            raise
        else:
            own.set_result(outcome)
            return outcome
        finally:
            if self._once.get(once.key) is own:
                del self._once[once.key]


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
