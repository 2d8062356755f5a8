"""Closing a client takes a second at most: waits are counted by clocks that only they move."""

import asyncio
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from unit.loadtest.virtual_time import run_virtual

from encserve import AsyncGrpcTransport, Client, TransportError
from encserve._transport import leaving
from encserve.testing import fake_pipeline


class Silent:
    """A call to a host that says nothing, and the clock on which it is waited for."""

    now_s = 100.0

    @classmethod
    def clock(cls):
        return Silent.now_s

    def result(self, timeout_s):
        Silent.now_s += timeout_s
        raise grpc.FutureTimeoutError

    def add_done_callback(self, callback):
        pass


def test_closing_takes_a_second_at_most_whatever_its_calls_do(monkeypatch):
    monkeypatch.setattr(Silent, "now_s", 100.0)
    messages, calls = leaving.Calls(), leaving.Calls()
    for _ in range(100):
        messages.add(Silent())
        calls.add(Silent())
    closed = []
    leaving.close(messages, calls, lambda: closed.append(Silent.now_s), clock=Silent.clock)
    assert closed == [pytest.approx(100.8)]
    assert leaving.CHANNELS_S == 0.2  # for which it waits in real time


def test_closing_takes_a_second_at_most_whatever_its_calls_do_async(monkeypatch):
    async def close():
        loop = asyncio.get_running_loop()
        transport = AsyncGrpcTransport("localhost:1")
        for calls in (transport._messages, transport._calls):
            for _ in range(100):
                calls.add(loop.create_future())
        begin_s = loop.time()
        await transport.close()
        return loop.time() - begin_s

    monkeypatch.setattr("time.monotonic", lambda: asyncio.get_running_loop().time())
    assert run_virtual(close()) == pytest.approx(0.8)


def test_closing_ends_all_calls_to_a_host_that_says_nothing():
    """A hundred calls, whose requests and whose giving up both go nowhere."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # and nobody accepts
        client = Client(f"127.0.0.1:{silent.getsockname()[1]}", concurrency=100, timeout_s=300.0)
        client._conversation._information._latest["fake"] = fake_pipeline()
        with ThreadPoolExecutor(100) as pool:
            calls = [pool.submit(client.embed, ["a"], model="fake") for _ in range(100)]
            while len(client._transport._calls._calls) < 100:
                time.sleep(0.001)
            client.close()
            for call in calls:
                with pytest.raises(TransportError):
                    call.result(timeout=300.0)
