"""`Arrivals` for an event loop: texts from an asynchronous iterator, or from an ordinary one on a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, Iterable
from contextlib import suppress
from typing import Any

from encserve._conversation.call import Texts
from encserve._conversation.chunks import Chunk, Chunker
from encserve._shells.arrivals import PAUSE_S
from encserve._shells.gathering import END, Gathering


class AwaitingArrivals:
    """Reads texts as they come, beside the task that takes them."""

    def __init__(self, texts: Texts, chunker: Chunker, *, ahead: int) -> None:
        """`ahead` is how many texts may wait to be taken."""
        self._gathering = Gathering(chunker)
        self._come: asyncio.Queue[Any] = asyncio.Queue()
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._room: asyncio.Semaphore | threading.Semaphore
        self._task: asyncio.Task[None] | None = None
        if isinstance(texts, AsyncIterable):
            self._room = asyncio.Semaphore(ahead)
            self._task = asyncio.create_task(self._read(texts, self._room))
        else:
            self._room = threading.Semaphore(ahead)
            reader = threading.Thread(target=self._read_on_thread, args=(texts, self._room), name="encserve-reader")
            reader.daemon = True
            reader.start()

    async def next_chunk(self) -> Chunk | None:
        """The texts that have come, one at least; None after the last.

        Raises:
            BaseException: what the iterator raised, or a text was refused; after the texts before it were taken.
        """
        timeout_s = None
        while not self._gathering.ended:
            try:
                brought = await asyncio.wait_for(self._come.get(), timeout_s)
            except asyncio.TimeoutError:
                break
            self._room.release()
            if (chunk := self._gathering.take(brought)) is not None:
                return chunk
            timeout_s = PAUSE_S
        return self._gathering.rest()

    async def _read(self, texts: AsyncIterable[str], room: asyncio.Semaphore) -> None:
        try:
            async for text in texts:
                await room.acquire()
                self._come.put_nowait(text)
            self._come.put_nowait(END)
        except BaseException as error:
            self._come.put_nowait(error)

    def _read_on_thread(self, texts: Iterable[str], room: threading.Semaphore) -> None:
        with suppress(RuntimeError):  # the loop has ended, and nobody takes them any more
            try:
                for text in texts:
                    room.acquire()
                    if self._closed:
                        return
                    self._bring(text)
                self._bring(END)
            except BaseException as error:
                self._bring(error)

    def _bring(self, brought: Any) -> None:
        self._loop.call_soon_threadsafe(self._come.put_nowait, brought)

    def end(self) -> None:
        """Read no further, and end the wait for the next text."""
        self._closed = True
        self._room.release()
        self._come.put_nowait(END)

    async def close(self) -> None:
        """End, and wait for the task that reads."""
        self.end()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
