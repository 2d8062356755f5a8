"""The generator and the curve against queues whose behaviour is known exactly. All of it in virtual time."""

import asyncio

import numpy as np
import pytest
from unit.loadtest.queue_theory import mdc_percentile_s
from unit.loadtest.stub_server import StubServer
from unit.loadtest.virtual_time import run_virtual

from encserve_loadtest.curve.queueing import fit_curve
from encserve_loadtest.measurement.bench import Bench
from encserve_loadtest.measurement.by_rate import by_rate, pooled_p99_s
from encserve_loadtest.measurement.window import Window
from encserve_loadtest.traffic.arrivals import constant, poisson, schedule_s
from encserve_loadtest.traffic.generator import Send, closed_loop, open_loop
from encserve_loadtest.virtual.servers import Batcher, Line, constant_service
from encserve_loadtest.virtual.virtual_bench import VirtualBench


def bench_on(server: StubServer, *, target_p99_s: float, window_s: float) -> Bench:
    return Bench(send=server.serve, target_p99_s=target_p99_s, window_s=window_s)


def through_the_sdk(server: StubServer) -> Send:
    client = server.client()

    async def send(index: int) -> int:
        return int((await client.embed(["a text"], model="fake")).token_counts.sum())

    return send


@pytest.mark.parametrize(("servers", "service_s", "load"), [(1, 0.02, 0.5), (1, 0.02, 0.8), (4, 0.08, 0.8)])
def test_the_percentile_is_that_of_queueing_theory(servers, service_s, load):
    rate_per_s = load * servers / service_s
    bench = bench_on(StubServer(service_s=service_s, servers=servers), target_p99_s=9, window_s=800)
    window = run_virtual(bench.at_rate(rate_per_s))
    theory_s = mdc_percentile_s(99, rate_per_s=rate_per_s, service_s=service_s, servers=servers)
    assert window.p99_s == pytest.approx(theory_s, rel=0.10)
    assert window.is_valid
    assert window.is_stable
    assert window.achieved_per_s == pytest.approx(window.offered_per_s, rel=0.02)


def test_the_curve_predicts_rates_that_it_has_not_seen():
    bench = bench_on(StubServer(service_s=0.02), target_p99_s=9, window_s=200)

    async def measure(rates_per_s: list[float]) -> dict[float, float]:
        windows = [await bench.at_rate(rate_per_s) for rate_per_s in rates_per_s]
        return {rate: pooled_p99_s(each) for rate, each in by_rate(windows).items()}

    unseen = [15, 34]
    p99s_s = run_virtual(measure([10, 20, 25, 30, 37, 42, *unseen]))
    seen = [rate for rate in p99s_s if rate not in unseen]
    curve = fit_curve(seen, [p99s_s[rate] for rate in seen], throughput_per_s=50)
    for rate_per_s in unseen:
        p99_s = p99s_s[rate_per_s]
        assert curve.p99_s(rate_per_s) == pytest.approx(p99_s, rel=0.15)
    assert curve.p99_s(60) == float("inf")
    assert 20 < curve.knee_per_s() < 45


def test_the_curve_predicts_a_batcher_which_saturates_beyond_its_closed_loop():
    """With 32 users a batch has 32 requests; at the rate where its queue has no end it has twice as many."""
    fixed_s, each_s = 0.02, 0.001
    server = Batcher(fixed_s=fixed_s, draw=constant_service(each_s), most=64)
    rng = np.random.default_rng(0)

    def p99_s(rate_per_s: float) -> float:
        due_s = schedule_s(poisson, rate_per_s=rate_per_s, duration_s=60, rng=rng)
        return float(np.percentile(server.answered_s(due_s, rng) - due_s, 99))

    seen, unseen = [160, 320, 480, 600, 640, 670], [256, 544]
    throughput_per_s = 32 / (fixed_s + 32 * each_s)
    curve = fit_curve(seen, [p99_s(rate) for rate in seen], throughput_per_s=throughput_per_s)
    for rate_per_s in unseen:
        assert curve.p99_s(rate_per_s) == pytest.approx(p99_s(rate_per_s), rel=0.1)
    assert curve.saturation_per_s > 1.2 * throughput_per_s


def test_a_stall_shows_in_the_open_loop_and_hides_in_the_closed():
    def server() -> StubServer:
        return StubServer(service_s=0.005, stall=(4.0, 6.0))

    async def opened() -> Window:
        stalled, due_s = server(), schedule_s(constant, rate_per_s=50, duration_s=20, rng=np.random.default_rng(0))
        run = await open_loop(through_the_sdk(stalled), due_s, duration_s=20, grace_s=5)
        return Window(run=run, target_p99_s=0.1)

    async def closed() -> Window:
        run = await closed_loop(through_the_sdk(server()), users=1, duration_s=20)
        return Window(run=run, target_p99_s=0.1)

    opened_window, closed_window = run_virtual(opened()), run_virtual(closed())
    assert opened_window.percentile_s(95) > 1  # a tenth of the requests came into the stall, and waited
    assert opened_window.run.latency_s.max() == pytest.approx(2, abs=0.1)
    assert closed_window.p99_s < 0.01  # one request of thousands saw it
    assert closed_window.run.loop.value == "closed"


def test_an_overload_grows_and_misses_although_the_target_is_far():
    bench = bench_on(StubServer(service_s=0.02), target_p99_s=30, window_s=20)
    bench.process = constant
    window = run_virtual(bench.at_rate(60))
    assert window.p99_s < bench.target_p99_s
    assert window.growth == pytest.approx(60 / 50 - 1, rel=0.05)
    assert not window.is_stable
    assert not window.holds


@pytest.mark.parametrize("over", [1.02, 1.04])
def test_an_overload_of_a_few_percent_is_seen(over):
    bench = bench_on(StubServer(service_s=0.02), target_p99_s=30, window_s=60)
    bench.process = constant
    assert not run_virtual(bench.at_rate(over * 50)).is_stable


def test_a_long_queue_is_no_overload():
    steady = VirtualBench(server=Line(draw=constant_service(0.02)), target_p99_s=0.3)
    windows = [asyncio.run(steady.at_rate(45, duration_s=20)) for _ in range(100)]
    assert sum(not window.is_stable for window in windows) <= 5
