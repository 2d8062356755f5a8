"""The generator by itself."""

import asyncio
import time
from collections.abc import Mapping

import numpy as np
import pytest
from unit.loadtest.stub_server import tensors
from unit.loadtest.virtual_time import run_virtual

from encserve import InferRequest, Unavailable
from encserve._commands.access import Access
from encserve.testing import AsyncFakeTransport
from encserve_loadtest.config import PlanConfig
from encserve_loadtest.measurement.bench import Bench, open_client
from encserve_loadtest.measurement.window import Window
from encserve_loadtest.traffic.arrivals import poisson, schedule_s
from encserve_loadtest.traffic.generator import Streamed, closed_loop, open_loop


async def answer_at_once(index: int) -> int:
    return 1


def test_requests_are_sent_in_order_at_their_times():
    sent: list[tuple[int, float]] = []

    async def note(index: int) -> int:
        sent.append((index, asyncio.get_running_loop().time()))
        return 7

    due_s = np.array([0.1, 0.1, 0.5])
    run = run_virtual(open_loop(note, due_s, duration_s=1, grace_s=1))
    assert sent == [(0, pytest.approx(0.1)), (1, pytest.approx(0.1)), (2, pytest.approx(0.5))]
    assert run.lateness_s == pytest.approx([0, 0, 0], abs=1e-6)
    assert run.tokens.tolist() == [7, 7, 7]


def test_a_failure_counts_as_a_request_that_never_came():
    async def fail_every_tenth(index: int) -> int:
        if index % 10 == 0:
            raise Unavailable("the queue is full")
        return 1

    due_s = np.linspace(0, 1, 100, endpoint=False)
    window = Window(run=run_virtual(open_loop(fail_every_tenth, due_s, duration_s=1, grace_s=1)), target_p99_s=1)
    assert window.p99_s == np.inf
    assert window.percentile_s(50) < 1
    assert window.failure_summary == "10 Unavailable"
    assert not window.holds


def test_what_is_unanswered_in_the_end_has_failed():
    async def never(index: int) -> int:
        await asyncio.sleep(1e9)
        return 1

    run = run_virtual(open_loop(never, np.array([0.0, 0.5]), duration_s=1, grace_s=2))
    assert run.failures == {"unanswered": 2}
    assert np.isinf(run.latency_s).all()


def test_an_interrupt_leaves_no_task_behind():
    async def interrupted() -> int:
        async def never(index: int) -> int:
            await asyncio.sleep(1e9)
            return 1

        run = asyncio.ensure_future(open_loop(never, np.arange(10.0), duration_s=10, grace_s=1))
        await asyncio.sleep(5.5)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        return len(asyncio.all_tasks())

    assert run_virtual(interrupted()) == 1  # the one that asks


def test_a_schedule_that_the_generator_cannot_keep_makes_the_window_invalid():
    async def block(index: int) -> int:
        loop = asyncio.get_running_loop()
        loop._jump.now_s += 0.05  # the generator's own thread computes
        return 1

    due_s = np.linspace(0, 2, 100, endpoint=False)
    window = Window(run=run_virtual(open_loop(block, due_s, duration_s=2, grace_s=1)), target_p99_s=0.1)
    assert window.lateness_p99_s > 1
    assert not window.is_valid


def test_the_users_of_a_closed_loop_wait_for_their_answers():
    flying, most = 0, 0

    async def note(index: int) -> int:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(0.1)
        flying -= 1
        return 1

    window = Window(run=run_virtual(closed_loop(note, users=3, duration_s=10)), users=3, target_p99_s=1)
    assert most == 3
    assert window.achieved_per_s == pytest.approx(30, rel=0.05)
    assert window.is_valid


def test_an_arrival_costs_little_more_than_a_task_of_asyncio():
    """In processor time, and as a ratio: neither others on this host nor its speed change it."""
    due_s = schedule_s(poisson, rate_per_s=5_000, duration_s=1, rng=np.random.default_rng(0))

    async def bare_tasks() -> None:
        for index in range(len(due_s)):
            await asyncio.create_task(answer_at_once(index))

    def ratio() -> float:
        began_s = time.process_time()
        asyncio.run(bare_tasks())
        bare_s = time.process_time() - began_s
        run = asyncio.run(open_loop(answer_at_once, due_s, duration_s=1, grace_s=60))
        assert np.isfinite(run.finished_s).all()
        assert len(run.finished_s) == pytest.approx(5_000, rel=0.05)
        return run.client_cpu_s / bare_s

    assert min(ratio() for _ in range(3)) < 10


def test_what_waits_waits_in_the_server(monkeypatch):
    """The client of a bench keeps nothing back, or a queue in the client would pass for the server's."""
    come = []

    async def answer(request: InferRequest) -> Mapping[str, np.ndarray]:
        come.append(request)
        while len(come) < 500:
            await asyncio.sleep(0)
        return tensors()

    monkeypatch.setattr("encserve._async_client.AsyncGrpcTransport", lambda *_, **__: AsyncFakeTransport(answer))

    async def ask() -> None:
        async with open_client(PlanConfig(model="fake", target_p99_s=1), "localhost:1", Access()) as client:
            calls = (client.embed([str(number)], model="fake") for number in range(500))
            await asyncio.wait_for(asyncio.gather(*calls), timeout=60)

    asyncio.run(ask())
    assert len(come) == 500


def test_a_slow_server_does_not_make_windows_long():
    async def slow(index: int) -> int:
        await asyncio.sleep(1.0)
        return 1

    bench = Bench(send=slow, target_p99_s=5, window_s=4)
    assert run_virtual(bench.at_rate(2)).run.duration_s == 12  # for enough requests
    bench.longest_s = 6.0
    assert run_virtual(bench.at_rate(2)).run.duration_s == 6
    assert run_virtual(bench.at_rate(2, duration_s=20)).run.duration_s == 20  # as it was asked


def test_a_request_is_late_by_its_first_piece_or_by_its_whole_answer():
    """Of a hundred requests a whole answer may take 4 s and a first piece 1 s."""

    async def stream(index: int) -> Streamed:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(1.5 if index % 10 == 1 else 0.5)
        first_s = loop.time()
        await asyncio.sleep(5.0 if index % 10 == 2 else 1.0)
        return Streamed(7, first_s)

    async def never(index: int) -> Streamed:
        raise Unavailable("the queue is full")

    async def measured(send, first_weight):
        bench = Bench(send=send, target_p99_s=4.0, first_weight=first_weight, window_s=50.0)
        return await bench.at_rate(2.0)

    window = run_virtual(measured(stream, 4.0 / 1.0))
    run = window.run
    late = run.latency_s > 4.0
    assert late.tolist() == [index % 10 in (1, 2) for index in range(len(late))]
    assert run.first_latency_s[~late] == pytest.approx(0.5, abs=1e-3)
    assert run.whole_latency_s[1::10] == pytest.approx(2.5, abs=1e-3)
    assert run.tokens.tolist() == [7] * len(late)
    assert window.first_s(99) == pytest.approx(1.5, abs=1e-3)
    assert window.whole_s(99) == pytest.approx(5.5, abs=1e-3)
    assert np.count_nonzero(run_virtual(measured(stream, 0.0)).run.latency_s > 4.0) < np.count_nonzero(late)
    assert np.isinf(run_virtual(measured(never, 4.0)).run.first_latency_s).all()
