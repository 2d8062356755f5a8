"""Calls that are not waited for, by the ten thousand.

Triton 2.51 dies of some thousands of calls that are cancelled while it answers them, so the SDK leaves them to it.
"""

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from passages import mixed_texts
from serving import serve_config

from encserve import AsyncClient, Client, DeadlineExceeded, Overloaded, Retry, Unavailable
from encserve_server.launcher.server import TritonServer

CALLS = 40_000
"""Several times as many as it took, at 2 to 3 thousand in a second."""
CALLERS = 6
LATE = (DeadlineExceeded, Unavailable)
"""By the clock of the client or of the server. Nothing else may become of a call with too little time."""


@pytest.fixture(scope="module")
def server(repository):
    with TritonServer(serve_config(repository, models=("minilm",))) as running:
        yield running


@pytest.fixture(scope="module")
def texts():
    return mixed_texts(200, longest_bytes=1500, seed=11)


def assert_serves(server, pid):
    with Client(server.grpc_url, timeout_s=120) as client:
        assert len(client.embed(["a text"], model="minilm")) == 1
    assert server.pid == pid


def call_in_haste(url, texts, seed):
    """A caller who comes anew after every fifty calls, none of which has the time that it takes."""
    rng = random.Random(seed)
    for _ in range(CALLS // CALLERS // 50):
        with Client(url, retry=Retry(attempts=1)) as client:
            for _ in range(50):
                some = rng.choices(texts, k=rng.choice((1, 4, 64)))
                try:
                    client.embed(some, model="minilm", timeout_s=rng.uniform(0.0005, 0.02))
                except LATE as error:
                    if "connect" in str(error):
                        raise


@pytest.mark.slow
def test_short_deadlines(server, texts):
    pid = server.pid
    with ThreadPoolExecutor(CALLERS) as threads:
        callers = [threads.submit(call_in_haste, server.grpc_url, texts, seed) for seed in range(CALLERS)]
    for caller in callers:
        caller.result()
    assert_serves(server, pid)


@pytest.mark.slow
async def test_cancelled_tasks(server, texts):
    pid, rng = server.pid, random.Random(0)
    async with AsyncClient(server.grpc_url, retry=Retry(attempts=1), concurrency=100, coalesce=False) as client:
        for _ in range(CALLS // 100):
            calls = [
                asyncio.create_task(client.embed(rng.choices(texts, k=rng.choice((1, 4, 64))), model="minilm"))
                for _ in range(100)
            ]
            for call in calls:
                await asyncio.sleep(rng.uniform(0, 0.0005))
                call.cancel()
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            wrong = [each for each in outcomes if isinstance(each, Exception) and not isinstance(each, Overloaded)]
            assert wrong == []
    assert_serves(server, pid)
