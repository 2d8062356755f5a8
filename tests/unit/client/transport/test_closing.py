"""What a client that is closed ends, and how soon."""

import asyncio
import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from encserve import AsyncClient, Client, InferRequest, TransportError

from .playing_triton import assert_all_given_up


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A busy machine may take more than the second that a client spends on giving up."""
    monkeypatch.setattr("encserve._transport.leaving.GIVE_UP_S", 60.0)
    monkeypatch.setattr("encserve._transport.leaving.HEARD_S", 60.0)


def test_closing_ends_what_is_in_flight(triton, url):
    triton.delay_s, triton.answers_what_is_given_up = 60.0, False
    client = Client(url)
    with ThreadPoolExecutor(1) as thread:
        call = thread.submit(client.embed, ["a"], model="fake")
        while not triton.requests:
            time.sleep(0.001)
        client.close()
        with pytest.raises(TransportError):
            call.result(timeout=300.0)


async def test_closing_ends_what_is_in_flight_async(triton, url):
    triton.delay_s, triton.answers_what_is_given_up = 60.0, False
    client = AsyncClient(url)
    call = asyncio.create_task(client.embed(["a"], model="fake"))
    while not triton.requests:
        await asyncio.sleep(0.001)
    await client.close()
    with pytest.raises(TransportError, match="closed"):
        await asyncio.wait_for(call, 300.0)
    with pytest.raises(TransportError, match="closed"):
        await client.embed(["a"], model="fake")


def test_closing_ends_a_call_that_asks_what_the_pipeline_is(triton, url):
    triton.describes.clear()
    client = Client(url)
    with ThreadPoolExecutor(1) as thread:
        call = thread.submit(client.embed, ["a"], model="fake")
        while not triton.described:
            time.sleep(0.001)
        client.close()
        with pytest.raises(TransportError, match="closed"):
            call.result(timeout=300.0)


async def test_closing_ends_a_call_that_asks_what_the_pipeline_is_async(triton, url):
    triton.describes.clear()
    client = AsyncClient(url)
    call = asyncio.create_task(client.embed(["a"], model="fake"))
    while not triton.described:
        await asyncio.sleep(0.001)
    await client.close()
    with pytest.raises(TransportError, match="closed"):
        await asyncio.wait_for(call, 300.0)


async def test_closing_gives_up_all_places(triton, url):
    triton.delay_s = 60
    client = AsyncClient(url)
    call = asyncio.create_task(client.embed(["a"], model="fake"))
    while not triton.requests:
        await asyncio.sleep(0.001)
    await client.close()
    with pytest.raises(TransportError):
        await call
    assert_all_given_up(triton)


async def test_cancelling_a_call_of_a_closed_client_is_cancelling(triton, url):
    triton.delay_s, triton.answers_what_is_given_up = 60.0, False
    client = AsyncClient(url)
    call = asyncio.create_task(client.embed(["a"], model="fake"))
    while not triton.requests:
        await asyncio.sleep(0.001)
    closing = asyncio.create_task(client.close())
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await closing


async def test_nobody_is_told_by_a_closed_client(url):
    reported = []

    def report(loop, context):
        if "handle" not in context:  # the poller of gRPC may meet the loop of an earlier test, which is closed
            reported.append(context)

    asyncio.get_running_loop().set_exception_handler(report)
    client = AsyncClient(url)
    await client.embed(["a"], model="fake")
    await client.close()
    client._transport.give_up(InferRequest(model="fake", inputs={"text": [b"a"]}, outputs=(), request_id="r"))
    await asyncio.sleep(0.01)
    gc.collect()
    assert not reported


def test_closing_does_not_wait_for_a_channel_that_hangs(url):
    """As one of gRPC does where Ctrl-C came in the moment in which a call began."""
    for_ever = threading.Event()
    client = Client(url)
    (replica,) = client._transport._replicas.all
    close, replica.channel.close = replica.channel.close, for_ever.wait
    client.close()
    assert not for_ever.is_set()
    for_ever.set()
    close()
