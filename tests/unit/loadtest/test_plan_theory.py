"""The generator and the search against queues whose behaviour is known exactly. All of it in virtual time."""

import numpy as np
import pytest
from queue_theory import mdc_capacity_per_s, mdc_percentile_s
from stub_server import StubServer
from virtual_time import run_virtual

from encserve_loadtest.arrivals import constant, poisson, schedule_s
from encserve_loadtest.bench import Bench
from encserve_loadtest.capacity import by_rate, estimate_capacity, pooled_p99_s
from encserve_loadtest.errors import GeneratorTooSlow, TargetImpossible
from encserve_loadtest.generator import Send, closed_loop, open_loop
from encserve_loadtest.queueing import fit_curve
from encserve_loadtest.search import find_capacity
from encserve_loadtest.window import Window


def bench_on(server: StubServer, *, target_p99_s: float, window_s: float) -> Bench:
    return Bench(send=server.serve, target_p99_s=target_p99_s, window_s=window_s)


def through_the_sdk(server: StubServer) -> Send:
    client = server.client()

    async def send(index: int) -> int:
        return int((await client.embed(["a text"], model="fake")).token_counts.sum())

    return send


@pytest.mark.parametrize(("servers", "service_s", "target_s"), [(1, 0.02, 0.1), (4, 0.08, 0.3)])
def test_the_capacity_is_that_of_queueing_theory(servers, service_s, target_s):
    bench = bench_on(StubServer(service_s=service_s, servers=servers), target_p99_s=target_s, window_s=50)
    held, missed = run_virtual(find_capacity(bench.at_rate, first_per_s=0.6 * servers / service_s))
    capacity = estimate_capacity(bench.windows, target_p99_s=target_s)
    theory = mdc_capacity_per_s(target_s, service_s=service_s, servers=servers)
    assert capacity.rate_per_s == pytest.approx(theory, rel=0.10)
    assert capacity.low_per_s <= capacity.rate_per_s <= capacity.high_per_s
    assert held < missed < 1.1 * held


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


def batched_s(due_s: np.ndarray, *, fixed_s: float, each_s: float, most: int = 64) -> np.ndarray:
    """The latency of each request of a server that takes all who wait as one batch, as a dynamic batcher does."""
    latency_s, free_s, first = np.empty(len(due_s)), 0.0, 0
    while first < len(due_s):
        begin_s = max(free_s, due_s[first])
        last = min(int(np.searchsorted(due_s, begin_s, side="right")), first + most)
        free_s = begin_s + fixed_s + each_s * (last - first)
        latency_s[first:last] = free_s - due_s[first:last]
        first = last
    return latency_s


def test_the_curve_predicts_a_batcher_which_saturates_beyond_its_closed_loop():
    """With 32 users a batch has 32 requests; at the rate where its queue has no end it has twice as many."""
    fixed_s, each_s = 0.02, 0.001
    rng = np.random.default_rng(0)

    def p99_s(rate_per_s: float) -> float:
        due_s = schedule_s(poisson, rate_per_s=rate_per_s, duration_s=60, rng=rng)
        return float(np.percentile(batched_s(due_s, fixed_s=fixed_s, each_s=each_s), 99))

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


def test_an_impossible_target_says_the_best_that_was_seen():
    bench = bench_on(StubServer(service_s=0.05), target_p99_s=0.02, window_s=5)
    with pytest.raises(TargetImpossible, match=r"under 20\.0 ms: the best was 50\.\d ms at"):
        run_virtual(find_capacity(bench.at_rate, first_per_s=10))


def test_a_slow_generator_is_not_blamed_on_the_server():
    async def late(rate_per_s: float) -> Window:
        due_s = schedule_s(poisson, rate_per_s=rate_per_s, duration_s=5, rng=np.random.default_rng(0))
        run = await open_loop(bench.send, due_s, duration_s=5, grace_s=1)
        object.__setattr__(run, "sent_s", run.sent_s + (0.5 if rate_per_s > 20 else 0.0))
        return Window(run=run, rate_per_s=rate_per_s, target_p99_s=0.1)

    bench = bench_on(StubServer(service_s=0.001), target_p99_s=0.1, window_s=5)
    with pytest.raises(GeneratorTooSlow, match=r"fell behind.*more than 500 ms late; the server held 20\.0 requests/s"):
        run_virtual(find_capacity(late, first_per_s=20))


def test_a_generator_that_computes_all_the_time_does_not_blame_the_server():
    async def slow_to_take_in_answers(rate_per_s: float) -> Window:
        window = await bench.at_rate(rate_per_s)
        object.__setattr__(window.run, "sent_s", window.run.sent_s + 0.5)
        object.__setattr__(window.run, "finished_s", window.run.finished_s + 5)
        object.__setattr__(window.run, "client_cpu_s", 0.98 * window.run.duration_s)
        return window

    bench = bench_on(StubServer(service_s=0.001), target_p99_s=0.1, window_s=5)
    with pytest.raises(GeneratorTooSlow, match="This is no limit of the server"):
        run_virtual(find_capacity(slow_to_take_in_answers, first_per_s=20))


def test_an_overload_is_seen_although_it_made_the_generator_late():
    async def shared_host(rate_per_s: float) -> Window:
        window = await bench.at_rate(rate_per_s)
        if rate_per_s > 50:
            object.__setattr__(window.run, "sent_s", window.run.sent_s + 0.2)
        return window

    bench = bench_on(StubServer(service_s=0.02), target_p99_s=0.2, window_s=20)
    held, missed = run_virtual(find_capacity(shared_host, first_per_s=60))
    assert held < missed < 60


def test_a_miss_that_was_a_fluke_is_measured_again():
    bench = bench_on(StubServer(service_s=0.02), target_p99_s=0.2, window_s=20)
    disturbed, calm = StubServer(service_s=0.05), bench.send

    async def measure(rate_per_s: float) -> Window:
        bench.send = calm if bench.windows else disturbed.serve
        return await bench.at_rate(rate_per_s)

    held, _ = run_virtual(find_capacity(measure, first_per_s=30))
    assert held > 30
