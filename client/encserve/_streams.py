"""What `generate_stream` returns: the pieces of a text as they come, and in the end what is known of all of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from types import TracebackType

from encserve._results import Generations


class _Streamed:
    """What both streams know of their text."""

    def __init__(self) -> None:
        self.text = ""
        """All pieces that came."""
        self.finish = ""
        """Why the text ended, as in `Generations.finishes`, or "deadline" where its time was up, or could not suffice
        any more while others wanted its place; empty while it goes on."""
        self.last: Generations | None = None
        """The last part of the answer, with counts, version and certificate; None before the first."""

    def _take(self, part: Generations) -> str:
        self.last, self.finish = part, part.finishes[0]
        self.text += part.texts[0]
        return part.texts[0]


class GeneratedStream(_Streamed):
    """The pieces of one text, in order. All of them together are the text.

    A context manager: at its end the server computes no more of the text.
    """

    def __init__(self, parts: Generator[Generations, None, None]) -> None:
        super().__init__()
        self._parts = parts

    def __iter__(self) -> GeneratedStream:
        return self

    def __next__(self) -> str:
        return self._take(next(self._parts))

    def close(self) -> None:
        """Want no more pieces. Closing twice is harmless."""
        self._parts.close()

    def __enter__(self) -> GeneratedStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncGeneratedStream(_Streamed):
    """`GeneratedStream` for an event loop."""

    def __init__(self, parts: AsyncGenerator[Generations, None]) -> None:
        super().__init__()
        self._parts = parts

    def __aiter__(self) -> AsyncGeneratedStream:
        return self

    async def __anext__(self) -> str:
        return self._take(await anext(self._parts))

    async def close(self) -> None:
        """Want no more pieces. Closing twice is harmless."""
        await self._parts.aclose()

    async def __aenter__(self) -> AsyncGeneratedStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
