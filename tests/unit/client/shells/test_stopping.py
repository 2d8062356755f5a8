"""What a call waits for ends where nobody waits for the call: it was stopped, has failed, or its client was closed."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from unit.client.conftest import answer

from encserve import AccessDenied, AsyncClient, Client, InvalidInput, Overloaded, RateLimited, Retry, TransportError
from encserve.testing import AsyncFakeTransport, FakeTransport, fake_pipeline

TIMEOUT_S = 30.0
"""Of a wait that is to end at once; without that it would be as long as a call may take, in seconds."""
CALL_S = 120.0
SLOW = Retry(initial_s=60.0, maximum_s=60.0)


class Busy:
    """Answers the first request, has no room for the others, and holds one text for ever."""

    def __init__(self):
        self.refused, self.held, self.release = threading.Event(), threading.Event(), threading.Event()

    def __call__(self, request):
        (text,) = request.inputs["text"]
        if text == b"hold":
            self.held.set()
            assert self.release.wait(TIMEOUT_S)
        elif text != b"first":
            self.refused.set()
            if text == b"wrong":
                raise InvalidInput("this text is wrong")
            raise Overloaded("no room")
        return answer([len(text)])


@pytest.fixture
def busy():
    busy = Busy()
    yield busy
    busy.release.set()


@pytest.fixture
def threads():
    with ThreadPoolExecutor(4) as threads:
        yield threads


def client_of(busy, **settings):
    return Client(transport=FakeTransport(busy), texts_per_request=1, timeout_s=CALL_S, retry=SLOW, **settings)


def test_a_stopped_iterator_does_not_wait_for_other_attempts_nor_for_its_turn(busy, threads):
    client = client_of(busy, concurrency=2)
    other = threads.submit(client.embed, ["hold"], model="fake")
    assert busy.held.wait(TIMEOUT_S)  # one of two places is taken
    parts = client.embed_iter(["first", "refused", "its turn never comes"], model="fake")
    next(parts)
    assert busy.refused.wait(TIMEOUT_S)
    threads.submit(parts.close).result(TIMEOUT_S)
    assert not other.done()
    busy.release.set()
    assert len(other.result(TIMEOUT_S)) == 1


def test_a_call_that_fails_does_not_wait_for_other_attempts(busy, threads):
    client = client_of(busy, concurrency=3)
    with pytest.raises(InvalidInput, match="this text is wrong"):
        threads.submit(client.embed, ["first", "wrong", "refused"], model="fake").result(TIMEOUT_S)


def limited(_):
    error = RateLimited("come back later")
    error.retry_after_s = 90.0
    refused.set()
    raise error


refused = threading.Event()


def test_closing_ends_the_wait_for_another_attempt(threads):
    refused.clear()
    client = Client(transport=FakeTransport(limited), timeout_s=CALL_S)
    call = threads.submit(client.embed, ["a"], model="fake")
    assert refused.wait(TIMEOUT_S)
    client.close()
    with pytest.raises(TransportError, match="closed"):
        call.result(TIMEOUT_S)


async def test_closing_ends_the_wait_for_another_attempt_async():
    refused.clear()
    client = AsyncClient(transport=AsyncFakeTransport(limited), timeout_s=CALL_S)
    call = asyncio.create_task(client.embed(["a"], model="fake"))
    while not refused.is_set():
        await asyncio.sleep(0.001)
    await client.close()
    with pytest.raises(TransportError, match="closed"):
        await asyncio.wait_for(call, TIMEOUT_S)


class Silence:
    """An iterator of which no text comes."""

    def __init__(self):
        self.asked, self.release = threading.Event(), threading.Event()

    def __iter__(self):
        return self

    def __next__(self):
        self.asked.set()
        assert self.release.wait(CALL_S)
        raise StopIteration


@pytest.fixture
def silence():
    silence = Silence()
    yield silence
    silence.release.set()


def test_closing_ends_the_wait_for_a_text(silence, threads):
    client = Client(transport=FakeTransport(lambda request: {}))
    call = threads.submit(list, client.embed_iter(silence, model="fake"))
    assert silence.asked.wait(TIMEOUT_S)
    client.close()
    try:
        with pytest.raises(TransportError, match="closed"):
            call.result(TIMEOUT_S)
    finally:
        silence.release.set()


@pytest.mark.parametrize("kind", ["thread", "loop"])
async def test_closing_ends_the_wait_for_a_text_async(silence, kind):
    async def never():
        silence.asked.set()
        await asyncio.sleep(CALL_S)
        yield "a"

    async def collect():
        return [part async for part in client.embed_iter(silence if kind == "thread" else never(), model="fake")]

    client = AsyncClient(transport=AsyncFakeTransport(lambda request: {}))
    call = asyncio.create_task(collect())
    while not silence.asked.is_set():
        await asyncio.sleep(0.001)
    await client.close()
    with pytest.raises(TransportError, match="closed"):
        await asyncio.wait_for(call, TIMEOUT_S)


MANY = [fake_pipeline(name=f"fake{number}") for number in range(40)]


async def test_a_list_of_models_that_fails_leaves_no_task():
    class Transport(AsyncFakeTransport):
        async def pipeline_config(self, model, *, version="", timeout_s):
            if model == "fake0":
                raise AccessDenied("gone")
            await asyncio.sleep(TIMEOUT_S)

    async with AsyncClient(transport=Transport(lambda request: {}, pipelines=MANY)) as client:
        with pytest.raises(AccessDenied):
            await asyncio.wait_for(client.models(), TIMEOUT_S)
        assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("kind", ["threads", "tasks"])
def test_not_all_models_are_asked_about_at_once(kind):
    lock = threading.Lock()
    running = most = 0

    def begin():
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)

    def end():
        nonlocal running
        with lock:
            running -= 1

    class Counting(FakeTransport):
        def pipeline_config(self, model, *, version="", timeout_s):
            begin()
            end()
            return super().pipeline_config(model, version=version, timeout_s=timeout_s)

    class AsyncCounting(AsyncFakeTransport):
        async def pipeline_config(self, model, *, version="", timeout_s):
            begin()
            await asyncio.sleep(0)
            end()
            return await super().pipeline_config(model, version=version, timeout_s=timeout_s)

    async def listed():
        async with AsyncClient(transport=AsyncCounting(lambda request: {}, pipelines=MANY)) as client:
            return await client.models()

    if kind == "tasks":
        assert asyncio.run(listed()) == MANY
    else:
        with Client(transport=Counting(lambda request: {}, pipelines=MANY)) as client:
            assert client.models() == MANY
    assert most <= 8
