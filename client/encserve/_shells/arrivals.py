"""Chunks of texts that come from an iterator which may pause: what has come until then goes out."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable
from typing import Any

from encserve._conversation.chunks import Chunk, Chunker
from encserve._shells.gathering import END, Gathering

PAUSE_S = 0.02
"""How long a text waits for the next one before they are sent without it, in seconds."""
_JOIN_S = 0.2
"""How long a reader may take to end; one that is inside the caller's iterator is left there, a daemon."""


class Arrivals:
    """Reads texts on a thread of its own, so that their taker can wait for other things meanwhile."""

    def __init__(self, texts: Iterable[str], chunker: Chunker, *, ahead: int) -> None:
        """`ahead` is how many texts may wait to be taken."""
        self._texts = texts
        self._gathering = Gathering(chunker)
        self._room = threading.Semaphore(ahead)
        self._come: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._closed = False
        self._reader = threading.Thread(target=self._read, name="encserve-reader", daemon=True)
        self._reader.start()

    def next_chunk(self) -> Chunk | None:
        """The texts that have come, one at least; None after the last.

        Raises:
            BaseException: what the iterator raised, or a text was refused; after the texts before it were taken.
        """
        timeout_s = None
        while not self._gathering.ended:
            try:
                brought = self._come.get(timeout=timeout_s)
            except queue.Empty:
                break
            self._room.release()
            if (chunk := self._gathering.take(brought)) is not None:
                return chunk
            timeout_s = PAUSE_S
        return self._gathering.rest()

    def _read(self) -> None:
        try:
            for text in self._texts:
                self._room.acquire()
                if self._closed:
                    return
                self._come.put(text)
            self._come.put(END)
        except BaseException as error:
            self._come.put(error)

    def end(self) -> None:
        """Read no further, and end the wait for the next text."""
        self._closed = True
        self._room.release()
        self._come.put(END)

    def close(self) -> None:
        """End, and wait for the reader for a moment."""
        self.end()
        self._reader.join(_JOIN_S)
