"""Concurrent calls of `AsyncClient` that share requests: each has its own error, its own end and its own timeout."""

import asyncio

import pytest
from unit.client.conftest import answer

from encserve import AsyncClient, DeadlineExceeded, InferenceFailed, InvalidInput, Retry, Unavailable
from encserve._calls import Calls
from encserve._conversation.chunks import Chunk, Size
from encserve._conversation.settings import Settings
from encserve._shells import coalesce
from encserve._verbs.embedding.embed import EMBED
from encserve.testing import AsyncFakeTransport, fake_pipeline

from .sharing_server import Server, connect, in_virtual_time, lengths, until, warm


@pytest.mark.parametrize(("bad", "kind"), [("refused", InvalidInput), ("broken", InferenceFailed)])
async def test_an_error_about_one_text_reaches_its_caller_alone_and_names_its_own_row(bad, kind):
    server = Server()
    client = connect(server)
    await warm(client, server)
    texts = [["x"], ["xx", bad], ["xxx"], ["xxxx"], ["xxxxx"]]
    outcomes = await asyncio.gather(*(lengths(client, each) for each in texts), return_exceptions=True)
    error = outcomes.pop(1)
    assert outcomes == [[1], [3], [4], [5]]
    assert type(error) is kind
    assert "text 1 is refused" in str(error) or kind is InferenceFailed
    if kind is InferenceFailed:
        assert error.texts == (1,)
        assert "texts [2] holds NaN (in a request shared with other calls; of this call: [1])" in str(error)
    assert error.rows_total == 2
    assert error.timeout_s == 30.0


async def test_an_error_about_all_is_an_object_of_each_caller():
    async def down(request):
        raise Unavailable("down")

    client = connect(down, retry=Retry(attempts=1))
    errors = await asyncio.gather(
        *(client.embed(["x"] * size, model="fake") for size in (1, 2, 3)), return_exceptions=True
    )
    assert [type(error) for error in errors] == [Unavailable] * 3
    assert [error.rows_total for error in errors] == [1, 2, 3]
    assert len({id(error) for error in errors}) == 3


@pytest.mark.parametrize("where", ["in the transport", "as the rows are shared out"])
async def test_no_call_waits_for_ever_when_something_of_ours_fails(where, monkeypatch):
    class Odd(Exception):
        def __init__(self, first, second):
            super().__init__(f"{first}{second}")

    async def failing(request):
        if where == "in the transport":
            raise Odd("od", "d")
        return answer([len(text) for text in request.inputs["text"]])

    def texts_of(*about, **more):
        raise Odd("od", "d")

    monkeypatch.setattr(coalesce, "texts_of", texts_of)
    client = connect(failing)
    async with asyncio.timeout(20):
        errors = await asyncio.gather(*(lengths(client, ["x"]) for _ in range(3)), return_exceptions=True)
    assert [(type(error), str(error)) for error in errors] == [(Odd, "odd")] * 3


async def test_a_server_that_fails_is_not_asked_again_for_each_call():
    asked = []

    async def failing(request):
        asked.append(len(request.inputs["text"]))
        if len(request.inputs["text"]) == 1:
            return answer([1])
        raise InferenceFailed("the network failed: out of memory", status="INTERNAL")

    client = connect(failing)
    await client.embed(["a"], model="fake")
    errors = await asyncio.gather(*(client.embed(["x"], model="fake") for _ in range(16)), return_exceptions=True)
    assert [type(error) for error in errors] == [InferenceFailed] * 16
    assert asked == [1, 16]


async def test_a_shared_request_is_retried():
    failures = iter([Unavailable("full"), Unavailable("full")])
    server = Server()

    async def busy(request):
        if len(request.inputs["text"]) == 5:
            for failure in failures:
                raise failure
        return await server(request)

    client = connect(busy, retry=Retry(initial_s=0.001, maximum_s=0.001))
    await warm(client, server)
    assert await asyncio.gather(*(lengths(client, ["x"]) for _ in range(5))) == [[1]] * 5
    assert server.sizes == [5]


async def test_a_cancelled_call_leaves_the_others_before_sending_and_after():
    server = Server(held=True)
    client = connect(server)
    server.let_go.set()
    await warm(client, server)
    server.let_go.clear()
    tasks = [asyncio.create_task(lengths(client, ["x" * size])) for size in (1, 2, 3)]
    await asyncio.sleep(0)
    tasks[0].cancel()  # it has not been sent
    await until(lambda: server.requests)
    assert server.sizes == [2]
    tasks[1].cancel()
    server.let_go.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert isinstance(outcomes[1], asyncio.CancelledError)
    assert outcomes[2] == [3]


async def test_the_request_is_cancelled_with_the_last_of_its_calls():
    cancelled = asyncio.Event()

    async def endless(request):
        if request.inputs["text"] == [b"a"]:
            return answer([1])
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    client = connect(endless)
    await client.embed(["a"], model="fake")
    tasks = [asyncio.create_task(lengths(client, ["xx"])) for _ in range(3)]
    await asyncio.sleep(0.01)
    for task in tasks[:2]:
        task.cancel()
    await asyncio.sleep(0.01)
    assert not cancelled.is_set()
    tasks[2].cancel()
    async with asyncio.timeout(20):
        await cancelled.wait()
    await asyncio.gather(*tasks, return_exceptions=True)


@in_virtual_time
async def test_calls_share_whose_ends_are_near_and_the_first_end_holds(monkeypatch):
    """A call that has waited for long would wait beyond its timeout, or a young one get the little that is left."""
    monkeypatch.setattr("time.monotonic", lambda: asyncio.get_running_loop().time())
    calls = Calls(Settings(timeout_s=10.0, retry=Retry(), concurrency=1, texts_per_request=64))
    sent = []

    async def send(call, pipeline, chunk, deadline):
        sent.append((chunk.texts, round(deadline.left_s(), 3)))
        raise DeadlineExceeded("late")

    async def part(text, call):
        await coalescer.part(call, fake_pipeline(), Chunk(0, [text], [], Size(1, 1, 1)))

    coalescer = coalesce.Coalescer(send, calls.settings, max_delay_s=0.001)
    about = []
    for pause_s in (0.5, 8.5, 0.0):
        about.append(calls.about_list(EMBED, ["a"], "fake", {}))
        await asyncio.sleep(pause_s)
    old, also_old, young = about
    asked = [part(b"young", young), part(b"also old", also_old), part(b"old", old)]
    await asyncio.gather(*asked, return_exceptions=True)
    assert sent == [([b"young"], 10.0), ([b"also old", b"old"], 1.0)]


async def test_a_late_answer_is_late_for_all():
    seen = []

    class Transport(AsyncFakeTransport):
        async def infer(self, request, *, timeout_s):
            seen.append(timeout_s)
            raise DeadlineExceeded("late")

    client = AsyncClient(transport=Transport(lambda request: {}))
    errors = await asyncio.gather(*(lengths(client, ["x"], timeout_s=5.0) for _ in range(3)), return_exceptions=True)
    assert all(0 < timeout_s <= 5.0 for timeout_s in seen)
    assert [(type(error), error.timeout_s) for error in errors] == [(DeadlineExceeded, 5.0)] * 3


def test_a_client_that_outlives_an_event_loop():
    server = answer([1])
    client = connect(lambda request: server)

    async def abandoned():
        task = asyncio.ensure_future(lengths(client, ["x"]))
        await asyncio.sleep(0)
        return task

    asyncio.run(abandoned())
    assert asyncio.run(lengths(client, ["x"])) == [1]
