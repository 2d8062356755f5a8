"""The parts of the estimate: episodes, dispersion, warm-up, standstills, the curve through the runs."""

from dataclasses import replace

import numpy as np
import pytest

from encserve_loadtest.estimate.crossing import find_crossing
from encserve_loadtest.estimate.experiment import Experiment
from encserve_loadtest.estimate.record import Count, Record
from encserve_loadtest.estimate.saturation import Saturation
from encserve_loadtest.estimate.stall import find_stalls, set_aside
from encserve_loadtest.estimate.warm_up import warm_up_share
from encserve_loadtest.virtual.pace import STEADY, standing_still
from encserve_loadtest.virtual.servers import Line, constant_service, exponential_service

SATURATION = Saturation(
    per_s=100, low_per_s=100, high_per_s=100, users=8, alone_s=0.01, alone_late=0, alone_requests=150, measured_s=20
)


def record(due_s: np.ndarray, latency_s: np.ndarray, *, rate_per_s: float = 50, duration_s: float = 10) -> Record:
    return Record(
        rate_per_s=rate_per_s,
        duration_s=duration_s,
        due_s=due_s,
        latency_s=latency_s,
        set_aside=np.zeros(len(due_s), bool),
        finished_s=due_s + latency_s,
    )


def served(line: Line, rate_per_s: float, *, duration_s: float, seed: int = 0) -> Record:
    rng = np.random.default_rng(seed)
    due_s = np.sort(rng.uniform(0, duration_s, rng.poisson(rate_per_s * duration_s)))
    latency_s = line.answered_s(due_s, rng) - due_s
    return record(due_s, latency_s, rate_per_s=rate_per_s, duration_s=duration_s)


def test_an_episode_goes_on_until_the_queue_is_back_to_its_usual_length():
    latency_s = np.array([1, 1, 1, 9, 9, 5, 9, 1, 1, 1, 9, np.inf, 1, 1, 1, 1.0])
    counted = record(np.arange(16.0), latency_s, duration_s=16).count(target_s=8, from_s=0)
    assert counted.episodes.tolist() == [3, 2]  # 5 is in time, and not yet calm
    assert counted.late == 5
    assert record(np.arange(16.0), latency_s, duration_s=16).count(target_s=8, from_s=4).episodes.tolist() == [2, 2]
    assert not len(record(np.arange(16.0), np.ones(16)).count(target_s=8, from_s=0).episodes)


def test_the_dispersion_by_episodes_is_that_of_whole_runs():
    """The variance of the late requests in a run over their mean, over many runs of M/M/1."""
    line, target_s, rate_per_s = Line(draw=exponential_service(0.01)), 0.1, 53.9
    runs = [served(line, rate_per_s, duration_s=60, seed=seed) for seed in range(300)]
    late = np.array([each.count(target_s=target_s, from_s=6).late for each in runs])
    experiment = Experiment(saturation=SATURATION, target_s=target_s, runs=runs[:10])
    (*_, last) = experiment._dispersions(experiment._counts())
    assert last == pytest.approx(late.var() / late.mean(), rel=0.35)


def test_a_warm_up_is_found_and_where_there_is_none_little_is_left_out():
    rng = np.random.default_rng(0)
    due_s = np.linspace(0, 10, 2_000, endpoint=False)
    flat = [record(due_s, 0.05 + rng.exponential(0.01, len(due_s))) for _ in range(6)]
    rising = [replace(each, latency_s=each.latency_s * np.minimum(due_s / 2, 1)) for each in flat]
    assert warm_up_share(rising, target_s=1) == pytest.approx(0.2, abs=0.06)
    assert warm_up_share(flat, target_s=1) <= 0.1
    assert warm_up_share([], target_s=1) == 0


def test_a_standstill_is_found_and_set_aside_with_the_queue_that_it_left():
    line = Line(draw=constant_service(0.01), pace=standing_still(20.0, 2.0))
    disturbed = served(line, 60, duration_s=60)
    (stall,) = find_stalls(disturbed, target_s=0.1)
    assert (stall.begin_s, stall.length_s) == (pytest.approx(20, abs=0.1), pytest.approx(2, abs=0.1))
    cleaned = set_aside(disturbed, [stall])
    assert cleaned.latency_s[~cleaned.set_aside].max() < 0.2 < 1.9 < disturbed.latency_s.max()
    aside_s = cleaned.due_s[cleaned.set_aside]
    assert aside_s.min() == pytest.approx(20, abs=0.1)
    assert 24 < aside_s.max() < 30  # 2 s of requests at 60/s take 2 s x 60 / (100 - 60) to work off
    counted = cleaned.count(target_s=0.1, from_s=0)
    assert counted.requests / (60 - np.ptp(aside_s)) == pytest.approx(60, rel=0.05)


def test_what_a_standstill_left_is_not_counted_where_it_took_most_of_the_run():
    """At 92 of 100 requests/s the queue of 2 s takes 23 s of 40, and the median of the run is one of that queue."""
    steady, stalled = (Line(draw=constant_service(0.01), pace=pace) for pace in (STEADY, standing_still(10.0, 2.0)))
    late = np.zeros(2)
    for seed in range(20):
        as_usual, disturbed = (served(line, 92, duration_s=40, seed=seed) for line in (steady, stalled))
        cleaned = set_aside(disturbed, find_stalls(disturbed, target_s=0.3))
        late += [np.count_nonzero(each.latency_s[~cleaned.set_aside] > 0.3) for each in (as_usual, cleaned)]
    assert late[1] <= 1.3 * late[0]


def test_a_quiet_server_does_not_stand_still():
    assert find_stalls(served(Line(draw=constant_service(0.01)), 0.2, duration_s=600), target_s=0.1) == []
    assert find_stalls(served(Line(draw=exponential_service(0.01)), 90, duration_s=600), target_s=0.1) == []
    assert find_stalls(record(np.array([1.0]), np.array([np.inf])), target_s=0.1) == []


def counts(rates: list[float], shares: list[float], *, requests: int = 100_000) -> list[Count]:
    return [
        Count(rate_per_s=rate, requests=requests, episodes=np.array([share * requests]))
        for rate, share in zip(rates, shares, strict=True)
    ]


def test_the_crossing_is_where_the_allowed_share_is_late():
    """M/M/1: exp(-(mu - lambda) T)."""
    rates, target_s = [75.0, 80, 83, 86, 90], 0.3
    runs = counts(rates, [float(np.exp(-(100 - rate) * target_s)) for rate in rates])
    crossing = find_crossing(runs, [1.0] * 5, allowed=0.01, saturation_per_s=100)
    assert crossing.rate_per_s == pytest.approx(100 - np.log(100) / target_s, rel=0.005)
    assert crossing.slope == pytest.approx(0.3 * 84.65, rel=0.15)


def decays(rate_per_s: float) -> float:
    """Of M/M/1: with the rate as it is the logarithm is a straight line."""
    return float(np.exp(-(100 - rate_per_s) * 0.1))


def takes_five(rate_per_s: float) -> float:
    """Late is who comes as the fifth within a moment: a straight line with the logarithm of the rate."""
    return 0.01 * (rate_per_s / 53.95) ** 5


@pytest.mark.parametrize("late_share", [decays, takes_five])
def test_the_curve_is_as_bent_as_the_runs_say(late_share):
    """All runs are beyond the crossing, at 53.95 requests/s: where it is, only the form of the curve tells."""
    rates = [60.0, 66, 72, 78]
    crossing = find_crossing(
        counts(rates, [late_share(rate) for rate in rates]), [1.0] * 4, allowed=0.01, saturation_per_s=100
    )
    assert crossing.rate_per_s == pytest.approx(53.95, rel=0.015)
    assert crossing.quantile_per_s(0.025) < 53.95 < crossing.quantile_per_s(0.975)


def test_what_one_user_sees_who_is_alone_says_how_the_curve_begins():
    """Late is who comes as the third within a moment, at a sixth of saturation: an idle server is never late."""
    rates = [12.0, 14, 17, 21, 25]
    runs = counts(rates, [0.01 * (rate / 16) ** 2 for rate in rates], requests=8_000)

    def low_end_per_s(idle: Count | None) -> float:
        crossing = find_crossing(runs, [4.0] * 5, allowed=0.01, saturation_per_s=100, idle=idle)
        return crossing.quantile_per_s(0.025)

    never_late = Count(rate_per_s=0, requests=500, episodes=np.empty(0))
    often_late = Count(rate_per_s=0, requests=500, episodes=np.ones(4))
    assert low_end_per_s(often_late) < low_end_per_s(None) < low_end_per_s(never_late) < 16


def test_the_more_late_requests_stick_together_the_less_is_known():
    runs = counts([75.0, 80, 85, 90], [0.001, 0.003, 0.012, 0.05], requests=5_000)

    def width_per_s(dispersion: float) -> float:
        crossing = find_crossing(runs, [dispersion] * 4, allowed=0.01, saturation_per_s=100)
        return crossing.quantile_per_s(0.975) - crossing.quantile_per_s(0.025)

    assert 1.5 * width_per_s(4) < 0.8 * width_per_s(40) < width_per_s(400)


def test_no_late_request_leaves_the_crossing_between_the_runs_and_saturation():
    crossing = find_crossing(counts([60.0, 70], [0, 0]), [1.0] * 2, allowed=0.01, saturation_per_s=100)
    assert 65 < crossing.quantile_per_s(0.025) < crossing.rate_per_s < 100


def test_an_experiment_begins_at_the_limit_of_heavy_traffic():
    assert Experiment(saturation=SATURATION, target_s=0.31).first_per_s() == pytest.approx(92.3, abs=0.1)
    assert Experiment(saturation=SATURATION, target_s=0.011).first_per_s() == 15


def test_a_standstill_that_outlasts_the_run_is_found():
    line = Line(draw=constant_service(0.01), pace=standing_still(59.0, 20.0))
    cut_off = served(line, 60, duration_s=60)
    unanswered = np.where(cut_off.finished_s > 61, np.inf, cut_off.finished_s)
    cut_off = replace(cut_off, finished_s=unanswered, latency_s=unanswered - cut_off.due_s)
    (stall,) = find_stalls(cut_off, target_s=0.1)
    assert (stall.begin_s, stall.length_s) == (pytest.approx(59, abs=0.1), pytest.approx(1, abs=0.1))
    cleaned = set_aside(cut_off, [stall])
    assert cleaned.latency_s[~cleaned.set_aside].max() < 0.2
    line = Line(draw=constant_service(0.01), pace=standing_still(0.0, 1.5))
    (stall,) = find_stalls(served(line, 60, duration_s=60), target_s=0.1)  # and so is one that came before the run
    assert stall.length_s == pytest.approx(1.5, abs=0.1)


def test_no_capacity_is_above_what_the_closed_loop_reached_for_sure():
    """Where the runs hold up to a rate that the users who wait did not reach."""
    line = Line(draw=constant_service(0.01))
    runs = [served(line, rate, duration_s=60, seed=rate) for rate in (70, 75, 80, 85)]
    free = Experiment(saturation=SATURATION, target_s=0.1, runs=runs).capacity()
    assert 72 < free.rate_per_s < 82
    reached = replace(SATURATION, per_s=72, low_per_s=70, high_per_s=100)
    held_back = Experiment(saturation=reached, target_s=0.1, runs=runs).capacity()
    assert held_back.rate_per_s <= 70
    assert held_back.low_per_s <= held_back.rate_per_s
