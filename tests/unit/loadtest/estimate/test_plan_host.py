"""An unquiet machine is marked, widens the interval, or is refused."""

import asyncio
import io
from dataclasses import replace

import pytest
from unit.loadtest.stub_server import StubServer

from encserve_loadtest.config import PlanConfig
from encserve_loadtest.estimate.capacity import Capacity, Confidence
from encserve_loadtest.estimate.noise import judge_noise
from encserve_loadtest.findings import Findings
from encserve_loadtest.measurement.bench import Bench
from encserve_loadtest.measurement.host_watch import HostState, HostWatch, ProcessorTimes, read_processor_times
from encserve_loadtest.measurement.progress import Progress
from encserve_loadtest.planner import heed_noise, others_share, search
from encserve_loadtest.report.summary import render_text
from encserve_loadtest.virtual.servers import Line, constant_service
from encserve_loadtest.virtual.virtual_bench import VirtualBench

CAPACITY = Capacity(rate_per_s=100, low_per_s=90, high_per_s=110)
QUIET = [HostState(speed=1.0, steal_share=0.0)] * 3


def times(*counts: tuple[float, float, float]):
    """Reads one count after another: total, busy, stolen."""
    left = [ProcessorTimes(total_s=total, busy_s=busy, stolen_s=stolen) for total, busy, stolen in counts]
    return lambda: left.pop(0)


def test_a_run_is_watched():
    spins = iter([0.001] * 101 + [0.00125] * 10_000)
    watch = HostWatch(spin=lambda: next(spins), read=times((100, 20, 1), (110, 25, 3)), every_s=0.001)
    state = watch.begin().end()
    assert state == HostState(speed=pytest.approx(0.8), steal_share=pytest.approx(0.2))


def test_this_machine_can_be_watched():
    before = read_processor_times()
    assert before is not None
    assert 0 <= before.busy_s <= before.total_s
    state = HostWatch().begin().end()
    assert 0.05 < state.speed < 20
    assert 0 <= state.steal_share <= 1


def test_the_bench_watches_each_of_its_windows():
    bench = Bench(send=StubServer(service_s=0.001).serve, target_p99_s=1, window_s=0.1, watch=HostWatch())
    assert asyncio.run(bench.with_users(1, duration_s=0.1)).host is not None


def test_what_others_use_is_seen_while_nothing_is_sent(monkeypatch):
    monkeypatch.setattr("encserve_loadtest.planner.QUIET_S", 0.0)
    assert asyncio.run(others_share(HostWatch(read=times((100, 20, 0), (102, 21, 0))))) == pytest.approx(0.5)
    assert asyncio.run(others_share(HostWatch(read=lambda: None))) == 0


def test_a_quiet_machine_changes_nothing():
    noise = judge_noise(QUIET, others_share=0.05, server_here=True)
    assert noise.applied(CAPACITY) == CAPACITY
    assert not noise.is_refused
    assert judge_noise([], others_share=0.0, server_here=True).applied(CAPACITY) == CAPACITY


def test_a_drifting_machine_widens_the_interval_of_a_server_on_it():
    states = [*QUIET, HostState(speed=0.92, steal_share=0.04)]
    noise = judge_noise(states, others_share=0.0, server_here=True)
    found = noise.applied(CAPACITY)
    assert (noise.drift, noise.steal_share) == (pytest.approx(1 / 0.92 - 1), pytest.approx(0.01))
    assert found.low_per_s == pytest.approx(90 * (1 - noise.widening))
    assert found.high_per_s == pytest.approx(110 * (1 + noise.widening))
    assert found.confidence is Confidence.INTERVAL
    assert "a busy loop beside the runs was 8.7 % faster in one than in another" in found.reasons
    far = judge_noise(states, others_share=0.0, server_here=False).applied(CAPACITY)
    assert (far.low_per_s, far.reasons) == (90, found.reasons[:1])


@pytest.mark.parametrize(
    ("states", "others"),
    [
        ([*QUIET, HostState(speed=0.7, steal_share=0.0)], 0.0),
        ([HostState(speed=1.0, steal_share=0.2)], 0.0),
        (QUIET, 0.6),
    ],
)
def test_a_machine_that_is_too_busy_promises_nothing(states, others):
    noise = judge_noise(states, others_share=others, server_here=True)
    assert noise.is_refused
    assert noise.applied(CAPACITY).confidence is Confidence.RANGE


def test_a_plan_on_a_busy_machine_says_so_first_and_is_not_complete():
    found = Findings(config=PlanConfig(model="m", target_p99_s=0.1, url="localhost:1", time_limit_s=60))
    bench = VirtualBench(server=Line(draw=constant_service(0.01)), target_p99_s=0.1, windows=found.windows)
    asyncio.run(search(found, bench, Progress(stream=io.StringIO())))
    found.windows[:] = [replace(each, host=HostState(speed=1.0, steal_share=0.3)) for each in found.windows]
    heed_noise(found, 0.0)
    first, *_, last = render_text(found).splitlines()
    assert first.startswith("only a range is known: the hypervisor took 30 % of this host's processor time; so the")
    assert last == (
        "incomplete: this host is too busy to measure on: the hypervisor took 30 % of this host's processor time"
    )


@pytest.mark.parametrize(
    ("url", "here"), [("localhost:8001", True), ("127.0.0.1:8001", True), ("[::1]:8001", True), ("gpu-1:8001", False)]
)
def test_a_server_on_this_machine_is_known_by_its_address(url, here):
    assert PlanConfig(model="m", target_p99_s=1, url=url).server_is_here is here
