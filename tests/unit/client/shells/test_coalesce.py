"""Concurrent calls of `AsyncClient` that share requests: fewer requests, and each call has its own rows."""

import asyncio
from collections import Counter

import numpy as np
import pytest

from encserve import AsyncClient, InvalidInput
from encserve.testing import fake_pipeline

from .sharing_server import Server, connect, in_virtual_time, lengths, until, warm


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
