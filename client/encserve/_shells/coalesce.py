"""Many concurrent calls about few texts, in few requests: what `AsyncClient` does where calls ask the same.

A request costs the server as much as several short texts, so calls that run at the same time share one where they may:
same model, verb, options and timeout. Nothing waits while nothing is under way: what one turn of the event loop brings
goes out at its end. While a request is under way, later calls gather until it is answered, until they fill a request,
or until the first of them has waited for `max_delay_s`, whichever comes first.

Each call keeps its own end. One that is cancelled leaves the others; a shared request is cancelled with the last of its
calls. Where the server refuses a shared request for what is in it, each half is sent again by itself, until the error
reaches the one call that it is about, in the words that the server has for that call alone. Where the server failed, a
repetition would be a load on a server in trouble, so it gets none: if it names the texts at which the network failed,
their calls have the error and the others are sent once more; else all calls have it. Only calls share a request whose
deadlines are near each other, and the earliest of these is its own, so no call waits longer than its timeout.
"""

import asyncio
import copy
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from encserve._conversation.call import Call
from encserve._conversation.chunks import Chunk, Size
from encserve._conversation.deadline import Deadline
from encserve._conversation.settings import Settings
from encserve._errors import EncserveError, InferenceFailed, InvalidInput
from encserve._pipeline import PipelineInfo
from encserve._results import Part, texts_of

MAX_DELAY_S = 0.001
"""How long a text waits for company at most, where the caller does not say."""

MAX_TEXTS = 16
"""Texts of a shared request. At this size a request costs its texts a hundredth of what the encoder costs them, and a
few dozen callers keep two requests under way, so that the server tokenizes one while it encodes the other."""

NEAR = 0.1
"""Calls share a request if their deadlines are no farther apart than this share of their timeout."""

Send = Callable[[Call[Any], PipelineInfo, Chunk, Deadline], Awaitable[Any]]
"""Sends one request, with retries, and decodes the answer."""


def max_delay_of(coalesce: object) -> float | None:
    """The seconds of the argument `coalesce`: a number of them, True for `MAX_DELAY_S`, False for None, not at all.

    Raises:
        InvalidInput: it is neither, or not between 0 and 1.
    """
    if isinstance(coalesce, bool):
        return MAX_DELAY_S if coalesce else None
    if isinstance(coalesce, int | float) and 0 <= coalesce <= 1:
        return float(coalesce)
    raise InvalidInput(f"coalesce is {coalesce!r}, expected True, False or a number of seconds from 0 to 1")


@dataclass(eq=False)
class _Member:
    """The texts of one call, and where it waits for its answer."""

    call: Call[Any]
    chunk: Chunk
    answer: "asyncio.Future[Any]"
    rows: range = range(0)
    """Which texts of the request are its own."""


@dataclass(eq=False)
class _Batch:
    """Calls that will share a request, or do."""

    pipeline: PipelineInfo
    deadline: Deadline
    """The earliest of its calls."""
    members: list[_Member] = field(default_factory=list)
    size: Size = field(default_factory=Size)
    start: asyncio.Handle | None = None
    """What will send it."""
    task: "asyncio.Task[None] | None" = None
    """The request, once it was sent."""


class Coalescer:
    """Merges the chunks of calls into requests, which `send` sends. For one event loop at a time."""

    def __init__(self, send: Send, settings: Settings, *, max_delay_s: float) -> None:
        self._send = send
        self._settings = settings
        self._max_delay_s = max_delay_s
        self._open: dict[Hashable, _Batch] = {}
        self._under_way: Counter[Hashable] = Counter()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def part(self, call: Call[Part], pipeline: PipelineInfo, chunk: Chunk) -> Part:
        """The part of the result in the answer to a chunk, which may travel together with those of other calls."""
        deadline, most = call.deadline, min(MAX_TEXTS, self._settings.texts_per_request)
        rows = chunk.size.rows
        if (
            rows >= most  # whatever the limits of the pipeline are, and before the time that they take
            or (key := call.mergeable) is None
            or rows >= (limits := call.limits(pipeline, most)).max_texts
        ):
            alone: Part = await self._send(call, pipeline, chunk, deadline)
            return alone
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # what an earlier loop left will never be sent
            self._loop, self._open, self._under_way = loop, {}, Counter()
        batch = self._open.get(key)
        if batch is not None and not (limits.hold(batch.size + chunk.size) and _near(batch.deadline, deadline)):
            self._go(key)
            batch = None
        if batch is None:
            batch = self._open[key] = _Batch(pipeline, deadline)
            if self._under_way[key]:
                batch.start = loop.call_later(self._max_delay_s, self._go, key)
            else:
                batch.start = loop.call_soon(self._go, key)
        batch.deadline = min(batch.deadline, deadline, key=Deadline.left_s)
        member = _Member(call, chunk, loop.create_future())
        batch.members.append(member)
        batch.size += chunk.size
        if batch.size.rows >= limits.max_texts:
            self._go(key)
        try:
            part: Part = await member.answer
        except asyncio.CancelledError:
            self._leave(key, batch, member)
            raise
        return part

    def _go(self, key: Hashable) -> None:
        """Send the batch that gathers under a key."""
        batch = self._open.pop(key)
        if batch.start is not None:
            batch.start.cancel()
        self._under_way[key] += 1
        batch.task = asyncio.get_running_loop().create_task(self._answer(batch, batch.members))
        batch.task.add_done_callback(lambda _: self._done(key))

    def _done(self, key: Hashable) -> None:
        """A request has ended: what gathered meanwhile goes out, with what the calls that were answered ask next."""
        self._under_way[key] -= 1
        if not self._under_way[key]:
            del self._under_way[key]
        batch = self._open.get(key)
        if batch is not None and batch.start is not None:
            batch.start.cancel()
            batch.start = asyncio.get_running_loop().call_soon(self._go, key)

    def _leave(self, key: Hashable, batch: _Batch, member: _Member) -> None:
        """A call was cancelled."""
        if batch.task is not None:
            if all(each.answer.done() for each in batch.members):
                batch.task.cancel()
            return
        batch.members.remove(member)
        batch.size = sum((each.chunk.size for each in batch.members), Size())
        if not batch.members and batch.start is not None:
            batch.start.cancel()
            del self._open[key]

    async def _answer(self, batch: _Batch, members: list[_Member], *, once_more: bool = True) -> None:
        """Send one request for the calls that still wait, and tell each its own rows or its own error."""
        members = [member for member in members if not member.answer.done()]
        if not members:
            return
        chunk = _merged(members)
        try:
            _share_out(members, await self._send(members[0].call, batch.pipeline, chunk, batch.deadline))
        except InvalidInput as error:
            if len(members) == 1:
                _fail(members, error)
                return
            middle = len(members) // 2
            await asyncio.gather(*(self._answer(batch, half) for half in (members[:middle], members[middle:])))
        except InferenceFailed as error:
            named = [member for member in members if set(error.texts).intersection(member.rows)]
            _fail((named if once_more else []) or members, error)
            await self._answer(batch, members, once_more=False)
        except asyncio.CancelledError:
            for member in members:
                member.answer.cancel()
            raise
        except Exception as error:
            _fail(members, error)


def _near(one: Deadline, other: Deadline) -> bool:
    return abs(one.left_s() - other.left_s()) <= NEAR * one.timeout_s


def _merged(members: list[_Member]) -> Chunk:
    """The texts of several calls as those of one request, which each of them then knows its own of."""
    begin = 0
    for member in members:
        member.rows = range(begin, begin := begin + len(member.chunk.texts))
    chunks = [member.chunk for member in members]
    if len(chunks) == 1:
        return chunks[0]
    return Chunk(
        0,
        [text for chunk in chunks for text in chunk.texts],
        [pair for chunk in chunks for pair in chunk.pairs],
        sum((chunk.size for chunk in chunks), Size()),
    )


def _share_out(members: list[_Member], part: Any) -> None:
    """Give each call its own rows."""
    for member in members:
        if not member.answer.done():
            rows = member.rows
            own = part if len(members) == 1 else texts_of(part, rows.start, rows.stop, start=member.chunk.start)
            member.answer.set_result(own)


def _fail(members: list[_Member], error: Exception) -> None:
    """Give each call an error of its own: what it says of rows and texts differs from call to call."""
    for member in members:
        if not member.answer.done():
            member.answer.set_exception(_own(error, member) if isinstance(error, EncserveError) else error)


def _own(error: EncserveError, member: _Member) -> EncserveError:
    own = copy.copy(error)
    own.__cause__ = error.__cause__
    own.timeout_s = member.call.end.timeout_s
    if isinstance(own, InferenceFailed):
        texts = tuple(text - member.rows.start for text in own.texts if text in member.rows)
        if texts != own.texts:
            own.args = (f"{own.args[0]} (in a request shared with other calls; of this call: {list(texts)})",)
        own.texts = texts
    return own
