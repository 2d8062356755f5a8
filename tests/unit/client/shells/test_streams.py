"""`embed_iter` over texts that are long in coming: what has come is answered, and nothing waits for what has not."""

import asyncio
import itertools
import threading
import time

import pytest

from encserve import AsyncClient, Client, InvalidInput
from encserve._conversation.chunks import Chunker, ChunkLimits
from encserve._shells import arrivals, awaiting_arrivals
from encserve.testing import AsyncFakeTransport, FakeTransport

TIMEOUT_S = 60.0


class Tap:
    """Texts that come when they are let go."""

    def __init__(self):
        self.steps = threading.Semaphore(0)

    def __iter__(self):
        for text in ("a", "bb", "ccc"):
            assert self.steps.acquire(timeout=TIMEOUT_S)
            yield text


def sizes(part):
    return part.vectors[:, 0].astype(int).tolist()


def test_an_answer_does_not_wait_for_the_next_text(model):
    tap = Tap()
    with Client(transport=FakeTransport(model)) as client:
        parts = client.embed_iter(tap, model="fake")
        for expected in (1, 2, 3):
            tap.steps.release()
            assert sizes(next(parts)) == [expected]
        assert next(parts, None) is None


async def test_an_answer_does_not_wait_for_the_next_text_of_a_thread(model):
    tap = Tap()
    async with AsyncClient(transport=AsyncFakeTransport(model)) as client:
        parts = client.embed_iter(tap, model="fake")
        for expected in (1, 2, 3):
            tap.steps.release()
            assert sizes(await anext(parts)) == [expected]
        assert await anext(parts, None) is None


async def test_an_asynchronous_iterator(model):
    come = asyncio.Queue()

    async def texts():
        while (text := await come.get()) is not None:
            yield text

    async with AsyncClient(transport=AsyncFakeTransport(model)) as client:
        parts = client.embed_iter(texts(), model="fake")
        for text in ("a", "bb"):
            come.put_nowait(text)
            assert sizes(await anext(parts)) == [len(text)]
        come.put_nowait(None)
        assert await anext(parts, None) is None


async def test_an_asynchronous_iterator_that_fails_fails_in_its_turn(model):
    async def texts():
        yield "a"
        raise RuntimeError("the source broke")

    got = []

    async def collect():
        async for part in client.embed_iter(texts(), model="fake"):
            got.extend(sizes(part))

    async with AsyncClient(transport=AsyncFakeTransport(model)) as client:
        with pytest.raises(RuntimeError, match="the source broke"):
            await collect()
    assert got == [1]
    assert len(asyncio.all_tasks()) == 1


class Gone(BaseException):
    """As GeneratorExit, or what gevent raises: no Exception."""


async def gone_asynchronously():
    yield "a"
    raise Gone


async def cancelled_within():
    yield "a"
    raise asyncio.CancelledError


def gone():
    yield "a"
    raise Gone


@pytest.mark.parametrize(
    ("source", "error"), [(gone_asynchronously, Gone), (cancelled_within, asyncio.CancelledError), (gone, Gone)]
)
async def test_whatever_ends_an_iterator_ends_the_call(source, error, model):
    got = []

    async def collect():
        async for part in client.embed_iter(source(), model="fake"):
            got.extend(sizes(part))

    async with AsyncClient(transport=AsyncFakeTransport(model)) as client:
        call = asyncio.create_task(collect())
        await asyncio.wait([call], timeout=TIMEOUT_S / 10)
        assert call.done()
        with pytest.raises(error):
            await call
    assert got == [1]


async def test_whoever_is_cancelled_twice_leaves_no_reader(model):
    """The second time while it waits for the end of a request that is slow to end."""
    asked, cancelled = asyncio.Event(), asyncio.Event()

    async def slow_to_end(request):
        asked.set()
        try:
            await asyncio.sleep(TIMEOUT_S)
        finally:
            cancelled.set()
            await asyncio.sleep(0.1)

    async def collect():
        async for _ in client.embed_iter(itertools.repeat("a"), model="fake"):
            pass

    async with AsyncClient(transport=AsyncFakeTransport(slow_to_end)) as client:
        call = asyncio.create_task(collect())
        await asked.wait()
        call.cancel()
        await cancelled.wait()
        call.cancel()
        await asyncio.wait([call])
        until_s = time.monotonic() + TIMEOUT_S / 10
        while reading() and time.monotonic() < until_s:
            await asyncio.sleep(0.001)
        assert not reading()


def reading():
    return [thread for thread in threading.enumerate() if thread.name == "encserve-reader"]


def test_the_blocking_client_refuses_it(model):
    async def texts():
        yield "a"

    with Client(transport=FakeTransport(model)) as client, pytest.raises(InvalidInput, match="asynchronous iterator"):
        client.embed_iter(texts(), model="fake")


@pytest.mark.parametrize("kind", ["thread", "loop"])
def test_what_comes_without_a_pause_shares_requests(kind, model, monkeypatch):
    monkeypatch.setattr(arrivals, "PAUSE_S", TIMEOUT_S)
    monkeypatch.setattr(awaiting_arrivals, "PAUSE_S", TIMEOUT_S)
    texts = ["a" * size for size in range(10)]

    async def awaited():
        async with AsyncClient(transport=AsyncFakeTransport(model), texts_per_request=4) as client:
            return [part async for part in client.embed_iter(iter(texts), model="fake")]

    if kind == "loop":
        parts = asyncio.run(awaited())
    else:
        with Client(transport=FakeTransport(model), texts_per_request=4) as client:
            parts = list(client.embed_iter(iter(texts), model="fake"))
    assert [part.start for part in parts] == [0, 4, 8]
    assert [size for part in parts for size in sizes(part)] == list(range(10))


def test_whoever_stops_early_waits_for_nobody(model):
    tap = Tap()
    tap.steps.release()
    with Client(transport=FakeTransport(model)) as client:
        parts = client.embed_iter(tap, model="fake")
        next(parts)
        parts.close()  # although the source has not said another word
    tap.steps.release(2)  # so that its reader ends


def test_closing_ends_a_reader_that_has_no_room():
    read = []
    texts = (read.append(number) or "a" for number in itertools.count())
    limits = ChunkLimits(max_texts=1, max_tokens=1_000, max_length=256, max_bytes_per_text=100)
    endless = arrivals.Arrivals(texts, Chunker(limits), ahead=1)
    while len(read) < 2:
        time.sleep(0.001)
    endless.close()
    endless._reader.join(TIMEOUT_S)
    assert not endless._reader.is_alive()
    assert len(read) == 2
