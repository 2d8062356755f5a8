"""Calls that nobody waits for any more: the server is told, and closing waits a second at most."""

import asyncio
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from encserve import (
    AsyncClient,
    Client,
)

from .playing_triton import PROMPT, assert_all_given_up


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A busy machine may take more than the second that a client spends on giving up."""
    monkeypatch.setattr("encserve._transport.leaving.GIVE_UP_S", 60.0)
    monkeypatch.setattr("encserve._transport.leaving.HEARD_S", 60.0)


async def test_a_cancelled_call_gives_up_its_place(triton, url):
    triton.delay_s = 60
    async with AsyncClient(url, texts_per_request=1) as client:
        calls = [asyncio.create_task(client.embed(texts, model="fake")) for texts in (["a"], ["b", "c"])]
        while len(triton.requests) < 3:
            await asyncio.sleep(0.001)
        for call in calls:
            call.cancel()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in outcomes)
    assert_all_given_up(triton)


def test_a_stopped_iterator_gives_up_its_places_and_does_not_wait(triton, url):
    with Client(url, texts_per_request=1, concurrency=3) as client:
        parts = client.embed_iter([PROMPT] * 3 + ["a"] * 97, model="fake")
        triton.delay_s = 60
        for _ in range(3):
            next(parts)
        while len(triton.requests) < 5:
            time.sleep(0.001)
        parts.close()
    triton.requests[:] = [request for request in triton.requests if request.inputs["text"] != [PROMPT.encode()]]
    assert_all_given_up(triton)


def test_a_stopped_iterator_does_not_wait_for_a_server_that_says_nothing(triton, url):
    client = Client(url, texts_per_request=1, concurrency=2, timeout_s=120.0)
    parts = client.embed_iter([PROMPT] * 2 + ["a"] * 98, model="fake")
    triton.delay_s, triton.answers_what_is_given_up = 180.0, False
    for _ in range(2):
        next(parts)
    while len(triton.requests) < 3:
        time.sleep(0.001)
    with ThreadPoolExecutor(1) as thread:
        closing = thread.submit(parts.close)
        try:
            closing.result(60.0)
        finally:
            triton.release.set()
    client.close()


def test_what_was_given_up_is_not_sent_again(triton, url):
    with Client(url, texts_per_request=1, concurrency=2) as client:
        parts = client.embed_iter([PROMPT] * 2 + ["a"] * 98, model="fake")
        triton.delay_s = 60
        for _ in range(2):
            next(parts)
        while len(triton.requests) < 3:
            time.sleep(0.001)
        triton.refusals = [grpc.StatusCode.CANCELLED] * 100  # as the server answers what was given up
        parts.close()
    assert len(triton.requests) == 3


INTERRUPTED = """
import signal, sys
from encserve import Client
from encserve._transport import leaving
leaving.GIVE_UP_S = leaving.HEARD_S = 10
signal.signal(signal.SIGINT, signal.default_int_handler)
with Client(sys.argv[1], texts_per_request=int(sys.argv[2])) as client:
    client.embed(["a", "b"], model="fake")
"""


@pytest.mark.parametrize("texts_per_request", [1, 2])
def test_ctrl_c_gives_up_the_places(triton, url, texts_per_request):
    triton.delay_s = 60
    program = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, url, str(texts_per_request)], stderr=subprocess.PIPE, text=True
    )
    while len(triton.requests) < 2 // texts_per_request:
        time.sleep(0.001)
    program.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in program.communicate(timeout=150)[1]
    assert_all_given_up(triton)


async def test_cancelling_one_call_does_not_fail_another(triton, url):
    """A call of 65 texts whose last one shares a request with another call: each request has an id of its own."""
    async with AsyncClient(url, timeout_s=120.0) as client:
        await client.embed(["a"], model="fake")
        triton.requests.clear()
        triton.delay_s, triton.answers_what_is_given_up = 60.0, False
        large = asyncio.create_task(client.embed(["a"] * 65, model="fake"))
        small = asyncio.create_task(client.embed(["bb"], model="fake"))
        while sum(len(request.inputs["text"]) for request in triton.requests) < 66:
            await asyncio.sleep(0.001)
        ids = [request.request_id for request in triton.requests]
        assert len(set(ids)) == len(ids)
        large.cancel()
        with pytest.raises(asyncio.CancelledError):
            await large
        triton.release.set()
        assert (await small).vectors[0, 0] == 2
