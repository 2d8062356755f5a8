"""Texts that come one by one, gathered into chunks: what both shells do with what their readers bring, without I/O."""

from __future__ import annotations

from typing import Any

from encserve._conversation.chunks import Chunk, Chunker

END = object()
"""What a reader brings after the last text. After an error of the iterator it brings the error."""


class Gathering:
    """Takes texts, and gives the chunks that are full."""

    def __init__(self, chunker: Chunker) -> None:
        self._chunker = chunker
        self._failure: BaseException | None = None
        self.ended = False
        """Whether no further text will be taken."""

    def take(self, brought: Any) -> Chunk | None:
        """Take what a reader brought; returns a chunk that is full."""
        if brought is END:
            self.ended = True
        elif isinstance(brought, BaseException):
            self._fail(brought)
        else:
            try:
                chunk = self._chunker.put(brought)
            except Exception as error:
                self._fail(error)
            else:
                return chunk or (self._chunker.flush() if self._chunker.full else None)
        return None

    def rest(self) -> Chunk | None:
        """What was gathered and is not full; None where there is nothing.

        Raises:
            Exception: what the iterator raised, or a text was refused; after the texts before it were taken.
        """
        chunk = self._chunker.flush()
        if chunk is None and self._failure is not None:
            raise self._failure
        return chunk

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self.ended = True
