"""Whole searches on servers whose capacity is known, in virtual time: few, with fixed seeds.

How often the interval holds the truth is counted over hundreds by `benchmarks/capacity/coverage.py`.
"""

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from benchmarks.capacity.coverage import MARKS, plan_once, write
from benchmarks.capacity.known_servers import SERVERS, truth_per_s
from unit.loadtest.queue_theory import mdc_capacity_per_s

from encserve_loadtest.errors import GeneratorTooSlow, PlanError, TargetImpossible
from encserve_loadtest.estimate.capacity import Capacity, Confidence
from encserve_loadtest.estimate.experiment import Experiment
from encserve_loadtest.estimate.record import Record
from encserve_loadtest.estimate.saturation import saturate
from encserve_loadtest.estimate.search import at_least, find_capacity, impossible
from encserve_loadtest.measurement.window import Window
from encserve_loadtest.traffic.run import Run
from encserve_loadtest.virtual.pace import pace_of
from encserve_loadtest.virtual.servers import Line, constant_service
from encserve_loadtest.virtual.virtual_bench import VirtualBench

PLANS = 5
TIME_S = 288.0
SERVICE_S = 0.01


def plans(name: str, target_s: float) -> list[Capacity]:
    return [plan_once(name, target_s, seed=seed, time_s=TIME_S) for seed in range(PLANS)]


@pytest.mark.parametrize(
    ("name", "services", "truth"),
    [("M/D/1", 10, 77.4), ("M/M/1", 10, 53.9), ("M/D/4", 10, 376.8), ("stands still for 2 s once", 10, 77.4)],
)
def test_the_interval_holds_the_truth(name, services, truth):
    found = plans(name, services * SERVICE_S)
    assert all(each.low_per_s <= truth <= each.high_per_s for each in found)
    assert all(each.rate_per_s <= SERVERS[name].saturation_per_s for each in found)
    assert all(each.high_per_s - each.low_per_s < 0.5 * truth for each in found)  # and says something


def test_the_truths_are_those_of_theory():
    assert truth_per_s("M/M/1", 0.1) == pytest.approx(100 - np.log(100) / 0.1)
    few = replace(SERVERS["M/D/4"], requests=400_000)
    SERVERS["few M/D/4"] = few
    try:
        assert truth_per_s("few M/D/4", 0.05) == pytest.approx(
            mdc_capacity_per_s(0.05, service_s=SERVICE_S, servers=4), rel=0.01
        )
    finally:
        del SERVERS["few M/D/4"]


def test_a_target_below_what_one_user_sees_is_impossible():
    bench = VirtualBench(server=Line(draw=constant_service(0.05)), target_p99_s=0.02)
    with pytest.raises(
        TargetImpossible, match=r"under 20\.0 ms: .* one user who was alone \d+ of \d+, with a median of"
    ):
        asyncio.run(find_capacity(bench, target_s=0.02, time_s=TIME_S))
    assert bench.now_s < TIME_S / 4  # and that is soon known
    assert plans("M/M/1", 3 * SERVICE_S) == [None] * PLANS  # 5 % of the service times alone are longer


def test_an_impossible_target_is_told_by_a_run_in_which_something_came():
    """The rates go down as far as to one request in many runs."""
    window = asyncio.run(
        VirtualBench(server=Line(draw=constant_service(0.05)), target_p99_s=0.02).at_rate(2, duration_s=9)
    )
    came = Record.of(window)
    nothing = replace(came, rate_per_s=0.01, due_s=came.due_s[:0], latency_s=came.latency_s[:0])
    saturation = asyncio.run(
        saturate(VirtualBench(server=Line(draw=constant_service(0.05)), target_p99_s=0.02), target_s=0.02)
    )
    told = impossible(Experiment(saturation=saturation, target_s=0.02, runs=[came, nothing]), [came, nothing])
    assert "of the answers to 2.00 requests/s 100 % took longer" in str(told)


def test_a_target_that_an_idle_server_misses_by_a_hair_may_be_held_at_no_rate():
    """Of its service times alone 1.1 % are longer."""
    for found in plans("batches of up to 8", 3 * SERVICE_S):
        assert found is None or any("it may be that no rate holds the target" in reason for reason in found.reasons)
        assert found is None or found.confidence is Confidence.RANGE


def test_what_a_longer_search_would_tell_is_a_range():
    """With four places the capacity is at 98 % of saturation, where a queue takes a quarter of a minute to fill."""
    (found, *_) = plans("M/D/4", 30 * SERVICE_S)
    assert found.confidence is Confidence.RANGE
    assert found.needed_s > TIME_S
    assert found.low_per_s <= 393.2 <= found.high_per_s


def test_a_standstill_is_said_and_one_that_comes_again_and_again_is_counted():
    (_, once, *_) = plans("stands still for 2 s once", 10 * SERVICE_S)  # of the first, two runs have a part of it each
    assert any("stood still once, for 2.0" in reason for reason in once.reasons)
    often = pace_of(np.tile([8.0, 0.8], 40), np.tile([1.0, 0.0], 40))
    bench = VirtualBench(server=Line(draw=constant_service(SERVICE_S), pace=often), target_p99_s=0.1)
    with pytest.raises(TargetImpossible):  # every tenth request comes into one
        asyncio.run(find_capacity(bench, target_s=0.1, time_s=TIME_S))


class DisturbedBench(VirtualBench):
    """A virtual bench whose generator is late beyond a rate."""

    late_beyond_per_s = 20.0
    late_s = 0.5
    answers_late_s = 0.0
    cpu_share = 0.1

    async def at_rate(self, rate_per_s: float, *, duration_s: float) -> Window:
        window = await super().at_rate(rate_per_s, duration_s=duration_s)
        if rate_per_s <= self.late_beyond_per_s:
            return window
        run: Run = replace(
            window.run,
            sent_s=window.run.sent_s + self.late_s,
            finished_s=window.run.finished_s + self.answers_late_s,
            client_cpu_s=self.cpu_share * duration_s,
        )
        self.windows[-1] = replace(window, run=run)
        return self.windows[-1]


def disturbed(service_s: float) -> DisturbedBench:
    return DisturbedBench(server=Line(draw=constant_service(service_s)), target_p99_s=0.1)


def test_a_slow_generator_is_not_blamed_on_the_server():
    with pytest.raises(GeneratorTooSlow, match=r"fell behind.*more than 500 ms late"):
        asyncio.run(find_capacity(disturbed(0.001), target_s=0.1, time_s=TIME_S))


def test_a_generator_that_computes_all_the_time_does_not_blame_the_server():
    bench = disturbed(0.001)
    bench.answers_late_s, bench.cpu_share = 5.0, 0.98
    with pytest.raises(GeneratorTooSlow, match="This is no limit of the server"):
        asyncio.run(find_capacity(bench, target_s=0.1, time_s=TIME_S))


def test_an_overload_is_seen_although_it_made_the_generator_late():
    """At a rate beyond the server's, whose queue by itself makes all late."""
    bench = disturbed(0.02)
    bench.late_beyond_per_s, bench.late_s = 50.0, 0.2
    found = asyncio.run(find_capacity(bench, target_s=0.1, time_s=TIME_S))
    truth = mdc_capacity_per_s(0.1, service_s=0.02, servers=1)
    assert found.low_per_s <= truth <= found.high_per_s <= 50


def test_what_held_before_the_generator_fell_behind_is_a_lower_bound():
    bench = disturbed(0.001)
    asyncio.run(bench.at_rate(15, duration_s=30))
    asyncio.run(bench.at_rate(700, duration_s=5))
    found = at_least(bench.windows)
    assert (found.low_per_s, found.confidence) == (15, Confidence.AT_LEAST)
    assert at_least(bench.windows[1:]) is None


def test_a_server_that_fails_every_request_has_no_capacity():
    class Failing(VirtualBench):
        async def with_users(self, users: int, *, duration_s: float) -> Window:
            window = await super().with_users(users, duration_s=duration_s)
            none = np.full_like(window.run.finished_s, np.inf)
            return replace(window, run=replace(window.run, finished_s=none, failures={"Unavailable": len(none)}))

    bench = Failing(server=Line(draw=constant_service(0.01)), target_p99_s=0.1)
    with pytest.raises(PlanError, match=r"every request failed: \d+ Unavailable"):
        asyncio.run(find_capacity(bench, target_s=0.1, time_s=TIME_S))


def test_the_search_keeps_to_its_time_and_says_what_it_learns():
    bench, said, begun = VirtualBench(server=Line(draw=constant_service(0.01)), target_p99_s=0.1), [], []
    asyncio.run(find_capacity(bench, target_s=0.1, time_s=60.0, note=said.append, begin=begun.append))
    assert sum(window.run.duration_s for window in bench.windows) == pytest.approx(60.0, rel=0.02)
    assert all(line.startswith("so far: ") and "between" in line for line in said)
    assert len(begun[0].pilots) + len(begun[0].runs) == len(said)


def test_a_run_whose_generator_was_late_takes_no_more_time_than_there_is():
    class LateTwice(DisturbedBench):
        """In its first two long runs."""

        async def at_rate(self, rate_per_s: float, *, duration_s: float) -> Window:
            self.late_s = 0.5 if duration_s > TIME_S / 12 and self.late else 0.0
            self.late -= self.late_s > 0
            return await super().at_rate(rate_per_s, duration_s=duration_s)

    bench = LateTwice(server=Line(draw=constant_service(SERVICE_S)), target_p99_s=0.1)
    bench.late, begun = 2, []
    found = asyncio.run(find_capacity(bench, target_s=0.1, time_s=TIME_S, begin=begun.append))
    assert sum(not window.is_valid for window in bench.windows) == 2
    assert sum(window.run.duration_s for window in bench.windows) <= 1.02 * TIME_S
    assert len(begun[0].runs) >= 2
    assert found.low_per_s <= 77.4 <= found.high_per_s


def test_the_table_keeps_the_servers_that_were_not_measured_again(tmp_path):
    page = tmp_path / "capacity.md"
    page.write_text(f"before\n\n{MARKS.begin}\n{MARKS.end}\n\nafter\n")
    rows = [["M/M/1", "3", "none", *[""] * 6], ["M/D/1", "3", "32.1", *["0%"] * 6]]
    write(page, rows, "ten plans")
    write(page, [["M/D/1", "3", "32.2", *["1%"] * 6]], "twenty plans")
    lines = page.read_text().splitlines()
    assert [line for line in lines if line.startswith("| M/")] == [
        "| M/D/1 | 3 | 32.2 | 1% | 1% | 1% | 1% | 1% | 1% |",
        "| M/M/1 | 3 | none |  |  |  |  |  |  |",
    ]
    assert (lines[0], lines[-1], "twenty plans" in lines, "ten plans" in lines) == ("before", "after", True, False)
