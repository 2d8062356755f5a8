"""Many calls at once: a client sends no more than it has places, and what fits into the deadline is done."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from unit.client.conftest import answer
from unit.loadtest.virtual_time import run_virtual

from encserve import AsyncClient, Client, Overloaded
from encserve.testing import AsyncFakeTransport, FakeTransport, fake_pipeline

CALLS = 1_000


def burst(*, load, service_s=0.003, coalesce=False, slow=0.0):
    """1,000 calls whose work takes `load` of their deadline, by a server that does one request after the other; of the
    deadline it is `slow` in the beginning. The outcomes, and when each came as a share of the deadline."""

    async def run():
        loop = asyncio.get_running_loop()
        timeout_s = CALLS * service_s / load
        free = asyncio.Lock()
        outcomes = []

        async def serve(request):
            texts = request.inputs["text"]
            async with free:
                pace = 0.2 if loop.time() - began_s < slow * timeout_s else 1.0
                await asyncio.sleep(len(texts) * service_s / pace)
            return answer([len(text) for text in texts])

        async def call():
            try:
                await client.embed(["a"], model="fake", timeout_s=timeout_s)
                kind = "done"
            except Overloaded as error:
                kind = "refused" if error.model == "fake" else "refused namelessly"
            outcomes.append((kind, (loop.time() - began_s) / timeout_s))

        async with AsyncClient(transport=AsyncFakeTransport(serve), coalesce=coalesce) as client:
            began_s = loop.time()
            await asyncio.gather(*(call() for _ in range(CALLS)))
        return outcomes

    return run_virtual(run())


both = pytest.mark.parametrize("coalesce", [False, True])


@pytest.mark.parametrize(("coalesce", "slow"), [(False, 0.0), (False, 0.3), (True, 0.0), (True, 0.25)])
def test_what_fits_is_done(coalesce, slow, monkeypatch):
    follow_the_loop(monkeypatch)
    assert {kind for kind, _ in burst(load=0.6, coalesce=coalesce, slow=slow)} == {"done"}


@both
def test_what_does_not_fit_is_refused_early_and_the_rest_is_done(coalesce, monkeypatch):
    follow_the_loop(monkeypatch)
    outcomes = burst(load=1.5, coalesce=coalesce)
    assert {kind for kind, _ in outcomes} == {"done", "refused"}
    refused = sorted(share for kind, share in outcomes if kind == "refused")
    assert len(outcomes) - len(refused) >= 0.9 * CALLS / 1.5
    assert refused[len(refused) // 2] < 0.45


def follow_the_loop(monkeypatch):
    """Let deadlines and gates read the clock of the loop, which a virtual one moves."""
    monkeypatch.setattr("time.monotonic", lambda: asyncio.get_running_loop().time())


def test_threads_have_no_more_in_flight_than_there_are_places(model):
    lock = threading.Lock()
    running = most = 0

    def serve(request):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        tensors = model(request)
        with lock:
            running -= 1
        return tensors

    with (
        Client(transport=FakeTransport(serve), concurrency=3, timeout_s=600) as client,
        ThreadPoolExecutor(64) as pool,
    ):
        calls = [pool.submit(client.embed, ["a" * size], model="fake") for size in range(1_000)]
        for size, call in enumerate(calls):
            assert call.result().vectors[0, 0] == size
    assert most <= 3


@pytest.mark.parametrize("kind", ["threads", "tasks"])
def test_a_thousand_cold_calls_ask_once_what_the_pipeline_is(kind, model):
    asked = []

    class Counting(FakeTransport):
        def pipeline_config(self, model, *, version="", timeout_s):
            asked.append(version)
            return super().pipeline_config(model, version=version, timeout_s=timeout_s)

    class AsyncCounting(AsyncFakeTransport):
        async def pipeline_config(self, model, *, version="", timeout_s):
            asked.append(version)
            await asyncio.sleep(0.01)
            return await super().pipeline_config(model, version=version, timeout_s=timeout_s)

    async def tasks():
        async with AsyncClient(transport=AsyncCounting(model), timeout_s=600) as client:
            await asyncio.gather(*(client.embed(["a"], model="fake") for _ in range(1_000)))

    if kind == "tasks":
        asyncio.run(tasks())
    else:
        with Client(transport=Counting(model), timeout_s=600) as client, ThreadPoolExecutor(50) as threads:
            list(threads.map(lambda _: client.embed(["a"], model="fake"), range(1_000)))
    assert asked == [""]  # and the answer names the version


async def test_bulk_of_a_client_keeps_nobody_waiting(model):
    """The requests of a long list fill the places of their own lane, and of their own pipeline."""
    release, held = asyncio.Event(), []

    async def serve(request):
        if request.parameters.get("lane") == "bulk":
            held.append(request)
            await release.wait()
        return model(request)

    pipelines = [fake_pipeline(option_defaults={"lane": "interactive"}), fake_pipeline(name="other")]
    async with AsyncClient(transport=AsyncFakeTransport(serve, pipelines=pipelines), concurrency=2) as client:
        bulk = asyncio.create_task(client.embed(["a"] * 300, model="fake", priority="bulk", timeout_s=600))
        while len(held) < 2:
            await asyncio.sleep(0)
        for name in ("fake", "other"):
            assert len(await client.embed(["somebody waits for this"], model=name, timeout_s=60)) == 1
        assert not bulk.done()
        release.set()
        assert len(await bulk) == 300
