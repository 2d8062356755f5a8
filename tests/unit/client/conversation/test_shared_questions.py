"""Calls that want to know of a pipeline at the same time: one asks, and each keeps its own time."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from encserve import AsyncClient, Client, DeadlineExceeded, Retry, Unavailable
from encserve.testing import AsyncFakeTransport, FakeTransport


@pytest.mark.parametrize("kind", ["threads", "tasks"])
def test_who_had_little_time_fails_alone(kind, model):
    """The server is down as the one asks who has no time for another attempt, and up again when the other would ask."""
    asked, released = threading.Event(), threading.Event()
    failures = iter([Unavailable("restarting")])
    settings = {"retry": Retry(initial_s=1e6, maximum_s=1e6)}

    def fail_once():
        for failure in failures:
            raise failure

    class Down(FakeTransport):
        def pipeline_config(self, *about, **more):
            asked.set()
            assert released.wait(60.0)
            fail_once()
            return super().pipeline_config(*about, **more)

    class AsyncDown(AsyncFakeTransport):
        async def pipeline_config(self, *about, **more):
            asked.set()
            while not released.is_set():
                await asyncio.sleep(0)
            fail_once()
            return await super().pipeline_config(*about, **more)

    async def tasks():
        async with AsyncClient(transport=AsyncDown(model), **settings) as client:
            hasty = asyncio.create_task(client.embed(["a"], model="fake", timeout_s=20.0))
            while not asked.is_set():
                await asyncio.sleep(0)
            patient = asyncio.create_task(client.embed(["a"], model="fake", timeout_s=600.0))
            await asyncio.sleep(0.01)
            released.set()
            return await asyncio.gather(hasty, patient, return_exceptions=True)

    if kind == "tasks":
        hasty, patient = asyncio.run(tasks())
    else:
        with Client(transport=Down(model), **settings) as client, ThreadPoolExecutor(2) as threads:
            calls = [threads.submit(client.embed, ["a"], model="fake", timeout_s=20.0)]
            assert asked.wait(60.0)
            calls.append(threads.submit(client.embed, ["a"], model="fake", timeout_s=600.0))
            time.sleep(0.05)
            released.set()
            hasty, patient = (call.exception() or call.result() for call in calls)
    assert type(hasty) is Unavailable
    assert len(patient) == 1


@pytest.mark.parametrize("kind", ["threads", "tasks"])
def test_who_waits_for_the_question_of_another_has_its_own_timeout(kind, model):
    class Silent(FakeTransport):
        def pipeline_config(self, *about, **more):
            asked.set()
            assert released.wait(60.0)
            return super().pipeline_config(*about, **more)

    class AsyncSilent(AsyncFakeTransport):
        async def pipeline_config(self, *about, **more):
            await asyncio.sleep(0.5)
            return await super().pipeline_config(*about, **more)

    async def tasks():
        async with AsyncClient(transport=AsyncSilent(model)) as client:
            patient = asyncio.create_task(client.embed(["a"], model="fake"))
            await asyncio.sleep(0)
            try:
                await client.embed(["a"], model="fake", timeout_s=0.1)
            finally:
                await patient

    def on_threads():
        with Client(transport=Silent(model)) as client, ThreadPoolExecutor(1) as threads:
            threads.submit(client.embed, ["a"], model="fake")
            assert asked.wait(60.0)
            try:
                client.embed(["a"], model="fake", timeout_s=0.1)
            finally:
                released.set()

    asked, released = threading.Event(), threading.Event()
    with pytest.raises(DeadlineExceeded, match=r"has no answer yet \(model fake, timeout 0\.1 s\)"):
        on_threads() if kind == "threads" else asyncio.run(tasks())
