"""Holds a conversation on the calling thread, and the parts of a call beside it."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
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
from encserve._shells.arrivals import Arrivals
from encserve._shells.beside import Held, Threads
from encserve._shells.blocking_window import as_they_come, in_order
from encserve._shells.stop import Stop
from encserve._transport.seam import Transport

T = TypeVar("T")


class BlockingShell:
    """Does what conversations ask for, through a transport. Threads may share it."""

    def __init__(self, conversation: Conversation, transport: Transport) -> None:
        self._conversation = conversation
        self._transport = transport
        self._once: dict[Any, Future[Any]] = {}
        self._lock = threading.Lock()
        self._closed = Stop("the client is closed")
        self._threads = Threads(conversation.settings.concurrency)

    def close(self) -> None:
        """End all calls that are under way, and let no other begin."""
        self._closed()
        self._threads.close()

    def run(self, talk: Talk[T], stop: Stop | None = None) -> T:
        """Hold a conversation to its end, or until `stop` is called. Raises what it raises."""
        parts = self.parts(talk, stop)
        try:
            while True:
                next(parts)
        except StopIteration as end:
            result: T = end.value
            return result

    def parts(self, talk: Talk[T], stop: Stop | None = None) -> Generator[Any, None, T]:
        """Hold a conversation; yields what it hands over. What it began ends with it, however it ends."""
        windows: list[Generator[Any, None, None]] = []
        proceed: Callable[[Any], Effect] = talk.send
        outcome: Any = None
        try:
            while True:
                try:
                    effect = proceed(outcome)
                except StopIteration as end:
                    result: T = end.value
                    return result
                if isinstance(effect, effects.Hand):
                    yield effect.part
                    proceed, outcome = talk.send, None
                    continue
                try:
                    proceed, outcome = talk.send, self._do(effect, windows, stop or self._closed)
                except BaseException as error:
                    proceed, outcome = talk.throw, error
        finally:
            talk.close()
            for window in windows:
                window.close()

    def _do(self, effect: Effect, windows: list[Generator[Any, None, None]], stop: Stop) -> Any:
        match effect:
            case effects.Infer(request, timeout_s):
                give_up = partial(self._transport.give_up, request)
                with stop.waking(give_up):
                    try:
                        return self._transport.infer(request, timeout_s=timeout_s)
                    except EncserveError:
                        raise
                    except BaseException:  # such as Ctrl-C
                        give_up()
                        raise
            case effects.OpenStream(request, timeout_s):
                return self._transport.stream(request, timeout_s=timeout_s)
            case effects.Receive(stream):
                with stop.waking(stream.cancel):
                    return stream.next()
            case effects.Enter():
                return self._entered(effect, stop)
            case effects.Next(window):
                return next(window, None)
            case effects.Open(call, pipeline):
                while windows:  # of a call that is repeated
                    windows.pop().close()
                windows.append(self._opened(call, pipeline))
                return windows[-1]
            case effects.Describe(model, version, timeout_s):
                return self._transport.pipeline_config(model, version=version, timeout_s=timeout_s)
            case effects.Once():
                return self._first_of(effect)
            case effects.Sleep(seconds):
                woken = threading.Event()
                with stop.waking(woken.set):
                    return woken.wait(seconds)
            case effects.ListModels(timeout_s):
                return self._transport.pipelines(timeout_s=timeout_s)
            case effects.SideBySide(talks):
                return list(self._in_order(lambda talk: talk(), iter(talks), effects.SIDE_BY_SIDE))
        raise AssertionError(effect)

    def _entered(self, enter: effects.Enter, stop: Stop) -> Ticket:
        decided = threading.Event()
        ticket = enter.gate.enter(enter.work, enter.deadline, decided.set)
        if not ticket.decided:
            try:
                with stop.waking(decided.set):
                    decided.wait(max(enter.deadline.left_s(), 0.0))
            except BaseException:
                enter.gate.leave(ticket, answered=False)
                raise
        return ticket

    def _opened(self, call: Call[Any], pipeline: PipelineInfo) -> Generator[Any, None, None]:
        concurrency = self._conversation.settings.concurrency
        limits = call.limits(pipeline, self._conversation.settings.texts_per_request)
        chunks = call.chunks(limits)

        def part(chunk: Chunk) -> Talk[Any]:
            return self._conversation.part(call, pipeline, chunk, call.deadline)

        if not isinstance(chunks, Chunker):
            return self._in_order(part, chunks, concurrency)
        assert isinstance(call.texts, Iterable)
        return self._as_they_come(part, partial(Arrivals, call.texts, chunks, ahead=limits.max_texts), concurrency)

    def _in_order(
        self, talk_about: Callable[[Any], Talk[Any]], items: Iterator[Any], concurrency: int
    ) -> Generator[Any, None, None]:
        """Hold a conversation about each item."""
        with self._stop_of_a_call() as stop:
            yield from in_order(
                lambda item: self.run(talk_about(item), stop),
                lambda item: self._beside(talk_about(item), stop),
                items,
                concurrency=concurrency,
                stop=stop,
            )

    def _as_they_come(
        self, talk_about: Callable[[Chunk], Talk[Any]], read: Callable[[], Arrivals], concurrency: int
    ) -> Generator[Any, None, None]:
        """Hold a conversation about each chunk that is read."""
        with self._stop_of_a_call() as stop:
            yield from as_they_come(
                lambda chunk: self._beside(talk_about(chunk), stop), read, concurrency=concurrency, stop=stop
            )

    @contextmanager
    def _stop_of_a_call(self) -> Iterator[Stop]:
        """What ends the conversations of one call, as the end of the client does."""
        stop = Stop("nobody waits for the call any more", within=self._closed)
        with self._closed.waking(stop):
            yield stop

    def _beside(self, talk: Talk[Any], stop: Stop) -> Held[Any]:
        return Held(talk, lambda effect: self._do(effect, [], stop), threads=self._threads, stop=stop)

    def _first_of(self, once: effects.Once) -> Any:
        """The outcome of a conversation that is held once at a time for each key."""
        until_s = time.monotonic() + once.timeout_s
        while True:
            with self._lock:
                shared = self._once.get(once.key)
                if shared is None:
                    own: Future[Any] = Future()
                    self._once[once.key] = own
            if shared is None:
                return self._lead(once, own)
            try:
                return shared.result(max(until_s - time.monotonic(), 0.0))
            except FutureTimeoutError:
                raise DeadlineExceeded("another call has asked the same, and has no answer yet") from None
            except EncserveError as error:
                if once.shares(error):
                    raise copy.copy(error) from error.__cause__

    def _lead(self, once: effects.Once, own: Future[Any]) -> Any:
        try:
            outcome = self.run(once.talk())
        except BaseException as error:
            interrupted = DeadlineExceeded("the call that asked was interrupted")
            own.set_exception(error if isinstance(error, EncserveError) else interrupted)
            raise
        else:
            own.set_result(outcome)
            return outcome
        finally:
            with self._lock:
                self._once.pop(once.key, None)
