"""Concurrent calls of `AsyncClient` that share requests: fewer requests, and nothing else that a caller could see."""

import asyncio
from collections import Counter
from functools import wraps

import numpy as np
import pytest
from unit.loadtest.virtual_time import run_virtual

from encserve import AsyncClient, DeadlineExceeded, InferenceFailed, InvalidInput, Retry, Unavailable
from encserve.testing import AsyncFakeTransport, fake_pipeline

from .conftest import answer


class Server:
    """A pipeline that answers after `delay_s`, or when it is let go; row i is the length of text i, three times."""

    def __init__(self, *, delay_s=0.0, held=False):
        self.requests = []
        self.delay_s = delay_s
        self.let_go = asyncio.Event()
        if not held:
            self.let_go.set()

    @property
    def sizes(self):
        return [len(request.inputs["text"]) for request in self.requests]

    async def __call__(self, request):
        self.requests.append(request)
        await asyncio.sleep(self.delay_s)
        await self.let_go.wait()
        texts = request.inputs["text"]
        for row, text in enumerate(texts):
            if text == b"refused":
                raise InvalidInput(f"text {row} is refused", model="fake", status="INVALID_ARGUMENT")
            if text == b"broken":
                raise InferenceFailed(f"what the network gave for texts [{row}] holds NaN", status="INTERNAL")
        return answer([len(text) for text in texts], int(request.parameters.get("dimensions", 3)))


def connect(server, *, pipeline=None, **settings):
    return AsyncClient(transport=AsyncFakeTransport(server, pipelines=[pipeline or fake_pipeline()]), **settings)


async def warm(client, server):
    """Let the client learn what the pipeline is, so that the calls of a test begin together."""
    await client.embed(["a"], model="fake")
    server.requests.clear()


async def lengths(client, texts, **options):
    result = await client.embed(texts, model="fake", **options)
    assert len(result) == len(texts)
    return result.vectors[:, 0].astype(int).tolist()


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


def in_virtual_time(test):
    """Run a test in a loop whose clock moves when all wait: what it says of time is so on every machine."""

    @wraps(test)
    def run():
        run_virtual(test())

    return run


async def test_calls_of_one_turn_share_a_request_and_get_their_own_rows():
    server = Server()
    client = connect(server)
    await warm(client, server)
    rows = await asyncio.gather(*(lengths(client, ["x" * size]) for size in range(1, 41)))
    assert rows == [[size] for size in range(1, 41)]
    assert server.sizes == [16, 16, 8]


def now_s():
    return asyncio.get_running_loop().time()


@in_virtual_time
async def test_a_single_call_does_not_wait():
    server = Server()
    client = connect(server, coalesce=1.0)
    await warm(client, server)
    began_s = now_s()
    assert await lengths(client, ["xx"]) == [2]
    assert now_s() == began_s  # only calls beside a request under way may have the delay


@in_virtual_time
async def test_calls_gather_while_a_request_is_under_way_and_go_when_it_is_answered():
    server = Server(held=True)
    client = connect(server, coalesce=1.0)
    server.let_go.set()
    await warm(client, server)
    server.let_go.clear()
    first = asyncio.create_task(lengths(client, ["x"]))
    await until(lambda: server.sizes == [1])
    later = []
    for size in (2, 3, 4):
        later.append(asyncio.create_task(lengths(client, ["x" * size])))
        await asyncio.sleep(0)
    began_s = now_s()
    server.let_go.set()
    assert await asyncio.gather(first, *later) == [[1], [2], [3], [4]]
    assert now_s() == began_s
    assert server.sizes == [1, 3]


@in_virtual_time
async def test_the_wait_is_bounded():
    server = Server(held=True)
    client = connect(server)
    server.let_go.set()
    await warm(client, server)
    server.let_go.clear()
    tasks = [asyncio.create_task(lengths(client, ["x"]))]
    await until(lambda: server.sizes == [1])
    tasks.append(asyncio.create_task(lengths(client, ["xx"])))
    began_s = now_s()
    await until(lambda: server.sizes == [1, 1])  # although the first is never answered
    assert 0 < now_s() - began_s < 0.1
    server.let_go.set()
    assert await asyncio.gather(*tasks) == [[1], [2]]


@in_virtual_time
async def test_a_full_request_goes_at_once():
    server = Server(held=True)
    client = connect(server, coalesce=1.0, texts_per_request=4)
    server.let_go.set()
    await warm(client, server)
    server.let_go.clear()
    tasks = [asyncio.create_task(lengths(client, ["x"]))]
    await until(lambda: server.sizes == [1])
    tasks += [asyncio.create_task(lengths(client, ["x" * size])) for size in (2, 3, 4, 5)]
    began_s = now_s()
    await until(lambda: server.sizes == [1, 4])
    assert now_s() - began_s < 0.1  # of the second that a part of a request may wait
    server.let_go.set()
    assert await asyncio.gather(*tasks) == [[1], [2], [3], [4], [5]]


async def test_limits_of_the_server_hold_for_shared_requests():
    for limits, expected in ({"max_texts_per_request": 8}, 8), ({"max_tokens_per_request": 60}, 10):
        server = Server()
        client = connect(server, pipeline=fake_pipeline(**limits))
        await warm(client, server)
        await asyncio.gather(*(lengths(client, ["xx"]) for _ in range(40)))  # 6 tokens each at most
        assert max(server.sizes) == expected
        assert sum(server.sizes) == 40


async def test_only_equal_questions_share():
    server = Server()
    client = connect(server)
    await warm(client, server)
    options = [{}, {"dimensions": 2}, {"timeout_s": 7.0}, {}, {"dimensions": 2}, {"timeout_s": 7.0}]
    await asyncio.gather(*(lengths(client, ["x"], **each) for each in options))
    assert sorted(server.sizes) == [2, 2, 2]


async def test_calls_of_several_texts_share_too_but_large_ones_go_alone():
    server = Server()
    client = connect(server)
    await warm(client, server)
    texts = [["x" * (10 * call + row) for row in range(count)] for call, count in enumerate((3, 40, 5))]
    rows = await asyncio.gather(*(lengths(client, each) for each in texts))
    assert rows == [[len(text) for text in each] for each in texts]
    assert Counter(server.sizes) == Counter([8, 40])


async def test_an_answer_does_not_keep_its_neighbours_in_memory():
    server = Server()
    client = connect(server)
    await warm(client, server)
    results = await asyncio.gather(*(client.embed(["x" * size], model="fake") for size in (1, 2, 3)))
    assert server.sizes == [3]
    for result in results:
        base = result.vectors.base if result.vectors.base is not None else result.vectors
        assert base.nbytes <= 2 * result.vectors.nbytes


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
    assert "text 1 is refused" in str(error) or "texts [1]" in str(error)
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


async def test_the_deadline_is_that_of_the_first_call():
    seen = []

    class Transport(AsyncFakeTransport):
        async def infer(self, request, *, timeout_s):
            seen.append(timeout_s)
            raise DeadlineExceeded("late")

    client = AsyncClient(transport=Transport(lambda request: {}))
    errors = await asyncio.gather(*(lengths(client, ["x"], timeout_s=5.0) for _ in range(3)), return_exceptions=True)
    assert all(0 < timeout_s <= 5.0 for timeout_s in seen)
    assert [(type(error), error.timeout_s) for error in errors] == [(DeadlineExceeded, 5.0)] * 3


async def test_it_can_be_turned_off():
    server = Server()
    client = connect(server, coalesce=False)
    await warm(client, server)
    await asyncio.gather(*(lengths(client, ["x"]) for _ in range(10)))
    assert server.sizes == [1] * 10


@pytest.mark.parametrize("value", ["yes", -0.1, float("nan"), 2, None])
def test_impossible_values_are_refused(value):
    with pytest.raises(InvalidInput, match="coalesce is"):
        AsyncClient("localhost:8001", coalesce=value)


def test_a_client_that_outlives_an_event_loop():
    server = answer([1])
    client = connect(lambda request: server)

    async def abandoned():
        task = asyncio.ensure_future(lengths(client, ["x"]))
        await asyncio.sleep(0)
        return task

    asyncio.run(abandoned())
    assert asyncio.run(lengths(client, ["x"])) == [1]


async def test_it_is_as_right_as_without_in_a_storm():
    rng = np.random.default_rng(0)
    server = Server(delay_s=0.002)
    client = connect(server, pipeline=fake_pipeline(max_tokens_per_request=900))
    await warm(client, server)

    async def user(number):
        own = np.random.default_rng(number)
        for _ in range(20):
            texts = ["x" * int(size) for size in own.integers(1, 300, own.integers(1, 4))]
            call = asyncio.ensure_future(lengths(client, texts))
            if own.random() < 0.1:
                await asyncio.sleep(float(own.random()) * 0.003)
                call.cancel()
                await asyncio.gather(call, return_exceptions=True)
            else:
                assert await call == [len(text) for text in texts]

    await asyncio.gather(*(user(int(seed)) for seed in rng.integers(0, 1 << 30, 24)))
    assert len(server.requests) < 24 * 20
