"""The servers of known capacity: they are what theory says, and their bench measures what the real one does."""

import asyncio
import heapq

import numpy as np
import pytest
from unit.loadtest.queue_theory import mdc_percentile_s
from unit.loadtest.stub_server import StubServer
from unit.loadtest.virtual_time import run_virtual

from encserve_loadtest.measurement.bench import Bench
from encserve_loadtest.measurement.window import Window, percentile_s
from encserve_loadtest.virtual.pace import pace_of, standing_still, two_speeds
from encserve_loadtest.virtual.servers import Batcher, Line, by_length, constant_service, exponential_service
from encserve_loadtest.virtual.virtual_bench import VirtualBench


def arrivals(rate_per_s: float, count: int) -> np.ndarray:
    return np.cumsum(np.random.default_rng(5).exponential(1 / rate_per_s, count))


@pytest.mark.parametrize("places", [1, 4])
def test_the_bench_of_a_virtual_server_measures_what_the_real_one_does(places):
    """The same arrivals through the generator, in an event loop whose clock jumps, and through the recursion."""
    options = {"target_p99_s": 0.1, "seed": 3}
    real = Bench(send=StubServer(service_s=0.02 * places, servers=places).serve, window_s=20, **options)
    virtual = VirtualBench(server=Line(draw=constant_service(0.02 * places), places=places), **options)

    async def measure(bench: Bench | VirtualBench) -> tuple[Window, Window]:
        return await bench.at_rate(44, duration_s=60), await bench.with_users(3, duration_s=20)

    (sent, users), (come, virtual_users) = run_virtual(measure(real)), asyncio.run(measure(virtual))
    assert come.run.scheduled_s == pytest.approx(sent.run.scheduled_s)
    assert come.run.latency_s == pytest.approx(sent.run.latency_s, abs=1e-6)
    assert virtual_users.achieved_per_s == pytest.approx(users.achieved_per_s, rel=0.01)


@pytest.mark.parametrize("places", [1, 4])
def test_a_line_with_constant_service_is_that_of_theory(places):
    come_s = arrivals(0.8 * places / 0.01, 300_000)
    latency_s = Line(draw=constant_service(0.01), places=places).answered_s(come_s, np.random.default_rng(0)) - come_s
    theory_s = mdc_percentile_s(99, rate_per_s=0.8 * places / 0.01, service_s=0.01, servers=places)
    assert percentile_s(latency_s, 99) == pytest.approx(theory_s, rel=0.05)


def test_a_line_with_exponential_service_has_exponential_latencies():
    come_s = arrivals(60, 300_000)
    latency_s = Line(draw=exponential_service(0.01)).answered_s(come_s, np.random.default_rng(0)) - come_s
    assert percentile_s(latency_s, 99) == pytest.approx(np.log(100) / (100 - 60), rel=0.05)


def test_a_batcher_takes_all_who_wait():
    come_s = arrivals(300, 5_000)
    server = Batcher(fixed_s=0.02, draw=constant_service(0.001), most=8)
    waiting, expected, free_s = list(come_s), [], 0.0
    while waiting:
        begin_s = max(free_s, waiting[0])
        batch = [each for each in waiting[:8] if each <= begin_s]
        free_s = begin_s + 0.02 + 0.001 * len(batch)
        expected += [free_s] * len(batch)
        waiting = waiting[len(batch) :]
    assert server.answered_s(come_s, np.random.default_rng(0)) == pytest.approx(expected)


def test_users_of_a_batcher_come_back_with_their_batch():
    server = Batcher(fixed_s=0.02, draw=constant_service(0.001), most=8)
    window = asyncio.run(VirtualBench(server=server, target_p99_s=1).with_users(16, duration_s=10))
    assert window.achieved_per_s == pytest.approx(8 / 0.028, rel=0.02)


def test_lengths_have_the_asked_mean():
    assert by_length(0.002, spread=0.6)(np.random.default_rng(0), 100_000).mean() == pytest.approx(0.002, rel=0.02)


def test_a_pace_says_when_work_is_done():
    pace = pace_of(np.array([2.0, 4.0]), np.array([1.0, 0.5]))
    assert pace.work(np.array([1.0, 2.0, 4.0, 6.0, 7.0])) == pytest.approx([1, 2, 3, 4, 5])
    assert pace.time(pace.work(np.array([0.5, 3.0, 9.0]))) == pytest.approx([0.5, 3.0, 9.0])


def test_a_server_that_stands_still_answers_afterwards():
    server = Line(draw=constant_service(0.01), pace=standing_still(5.0, 2.0))
    answered_s = server.answered_s(np.array([4.0, 5.5, 6.0, 8.0]), np.random.default_rng(0))
    assert answered_s == pytest.approx([4.01, 7.01, 7.02, 8.01], abs=1e-6)


def test_two_speeds_do_the_mean_of_their_work():
    pace = two_speeds(0.7, mean_s=2.0, horizon_s=40_000, rng=np.random.default_rng(0))
    assert pace.work_s[-1] / pace.time_s[-1] == pytest.approx(0.85, rel=0.02)


def test_the_requests_of_a_place_are_served_one_after_another():
    """Several places against a heap of the times at which each is free."""
    come_s, free_at_s, expected = arrivals(350, 3_000), [0.0] * 4, []
    for each in come_s:
        done_s = max(each, heapq.heappop(free_at_s)) + 0.01
        heapq.heappush(free_at_s, done_s)
        expected.append(done_s)
    answered_s = Line(draw=constant_service(0.01), places=4).answered_s(come_s, np.random.default_rng(0))
    assert answered_s == pytest.approx(expected)
