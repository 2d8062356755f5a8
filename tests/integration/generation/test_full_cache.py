"""What callers are told while more texts wait than have room."""

import asyncio

import pytest
from passages import PASSAGES
from told_metrics import metric, wait_for_more

from encserve import AsyncClient, Overloaded, Retry
from encserve_gateway.config import GatewayConfig
from encserve_gateway.pipelines.health import ASKED, Health, State
from encserve_gateway.pipelines.upstream import Upstream
from encserve_server.steps.instance.load_page import tokens_in

ONCE = Retry(attempts=1)
ENDLESS = {"min_new_tokens": 1_000, "max_new_tokens": 1_000}


def test_who_would_wait_for_too_long_is_told_at_once_and_health_tells_it_from_death(small, monkeypatch):
    monkeypatch.setitem(ASKED, "timeout_s", 10.0)  # and not 2 s, in which a busy machine may not even refuse

    async def ask():
        async with AsyncClient(small.grpc_url, timeout_s=60, retry=ONCE) as client:
            many = asyncio.create_task(client.generate(PASSAGES * 3, model="t5", **ENDLESS))
            while not tokens_in(small.folder):
                await asyncio.sleep(0.05)
            await asyncio.sleep(1)  # in which rounds show what they take
            await asyncio.to_thread(work_waits, small)
            with pytest.raises(Overloaded, match=r"would wait about .* try again later"):
                await client.generate(["a"], model="t5", timeout_s=10)
            upstream = Upstream(lambda: AsyncClient(small.grpc_url, retry=ONCE), GatewayConfig(models=("t5",)))
            report = await Health(upstream).report()
            await upstream.close()
            many.cancel()
            with pytest.raises(asyncio.CancelledError):
                await many
            return report

    report = asyncio.run(ask())
    assert (report.lives, report.pipelines) == (True, {"t5": State.OVERLOADED})
    assert asyncio.run(answered(small)) == ["eos"]


def work_waits(server):
    """Of texts without room, and of none that asks in the other lane."""
    for name in ("encserve_tokens_per_second", "encserve_waiting_tokens"):
        wait_for_more(server, name, 0, model="t5_generate", lane="interactive")
    assert metric(server, "encserve_waiting_tokens", model="t5_generate", lane="bulk") == 0
    assert metric(server, "encserve_generate_waiting_texts", lane="interactive") > 0


async def answered(server):
    """Why a text ends that is asked for once the others are gone, which the step tells its counts a second later."""
    async with AsyncClient(server.grpc_url, timeout_s=60) as client:
        finishes = (await client.generate(["a"], model="t5")).finishes
    for _ in range(100):
        if metric(server, "encserve_refused_requests", limit="timeout"):
            return finishes
        await asyncio.sleep(0.05)
    raise AssertionError("no refusal was counted")
