"""The simulation of a fleet over a day."""

from dataclasses import replace

import numpy as np
import pytest

from encserve_loadtest.errors import InvalidPlan
from encserve_loadtest.fleet.day import Day, read_day
from encserve_loadtest.fleet.scaling import Autoscaler, Replica, signals, simulate
from encserve_loadtest.fleet.waiting import WaitCurve

RATES = np.linspace(0, 99, 100)
REPLICA = Replica(
    holds_per_s=75,
    saturation_per_s=100,
    target_s=0.1,
    waiting=WaitCurve(rates_per_s=RATES, waits_s=0.005 * (RATES / 100) / (1 - RATES / 100)),  # M/D/1, service of 10 ms
    start_s=120,
)
CPU, TRITON, WORK = signals(REPLICA.waiting.added_at_s(REPLICA.holds_per_s))
DAY = Day(time_s=np.array([0, 6, 10, 16, 24]) * 3600.0, rate_per_s=np.array([200, 100, 900, 1_000, 200.0]))


@pytest.mark.parametrize("signal", [CPU, WORK])
def test_a_fleet_follows_a_day_that_changes_slowly(signal):
    day = simulate(DAY, REPLICA, signal)
    rates = DAY.rates_per_s(day.time_s)
    assert day.refused_share == 0
    assert day.beyond_share < 0.2
    noon, night = np.searchsorted(day.time_s, [15 * 3600, 6 * 3600])
    assert day.ready[noon] * REPLICA.holds_per_s >= rates[noon]
    assert day.ready[night] < day.ready[noon] / 3
    assert day.replica_hours < 24 * day.ready.max()


def test_the_target_of_tritons_chart_keeps_the_largest_fleet_all_day():
    day = simulate(DAY, REPLICA, TRITON)
    assert np.median(day.ready) == day.ready.max() == 2 * (14 + 1)
    assert day.replica_hours > 1.5 * simulate(DAY, REPLICA, WORK).replica_hours


def test_a_jump_that_is_faster_than_a_start_is_refused():
    jump = Day(time_s=np.array([0, 3600, 3601, 7200.0]), rate_per_s=np.array([100, 100, 800, 800.0]))
    slow, fast = (simulate(jump, replace(REPLICA, start_s=start_s), WORK) for start_s in (300, 15))
    assert slow.refused_share > 2 * fast.refused_share > 0
    assert slow.refused_per_s[slow.time_s < 3600].sum() == 0
    assert slow.refused_per_s[-1] == 0
    assert slow.ready[-1] * REPLICA.holds_per_s >= 800


def test_a_replica_is_paid_for_while_it_starts():
    day = simulate(DAY, REPLICA, WORK)
    assert (day.paid >= day.ready).all()
    wished = int(np.argmax(day.paid > day.ready))
    grown = wished + int(np.argmax(day.ready[wished:] > day.ready[wished]))
    assert day.time_s[grown] - day.time_s[wished] == pytest.approx(REPLICA.start_s, abs=5)
    assert day.replica_hours == pytest.approx(day.paid.sum() * 5 / 3600)


def test_a_queue_that_triton_does_not_see_never_lets_a_fleet_grow():
    blind = replace(TRITON, of=lambda moment: 11e-6)
    assert simulate(DAY, REPLICA, blind).ready.max() == simulate(DAY, REPLICA, blind).ready[0]
    assert simulate(DAY, REPLICA, blind).refused_share > 0.2


def test_the_rule_is_that_of_kubernetes():
    scaler = Autoscaler(target=1.0, most=50)
    assert scaler.desired(1.05, ready=10, asked=10, now_s=0) == 10  # within the tolerance
    assert scaler.desired(1.5, ready=10, asked=10, now_s=15) == 15
    assert scaler.desired(1.5, ready=10, asked=15, now_s=30) == 15  # those that start are not asked for again
    assert scaler.desired(9.0, ready=10, asked=15, now_s=45) == 30  # twice as many at most
    assert scaler.desired(0.1, ready=30, asked=30, now_s=60) == 30  # it wanted 50 a moment ago
    assert scaler.desired(0.1, ready=30, asked=30, now_s=400) == 3
    assert scaler.desired(0.0, ready=3, asked=3, now_s=800) == 2


def test_a_day_is_read(tmp_path):
    file = tmp_path / "day.csv"
    file.write_text("time,rate\n00:00,100\n06:30, 40\n\n86400,100\n")
    day = read_day(file)
    assert day.time_s.tolist() == [0, 23_400, 86_400]
    assert day.rates_per_s(np.array([11_700.0])) == pytest.approx([70])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("time,rate\n00:00,1\nnoon,2\n", "line 3: 'noon,2', expected time,rate"),
        ("0,1\n0,2\n", "line 2: '0,2' is not later"),
        ("0,1\n5,-2\n", "line 2: '5,-2' is not later than the line before it, or has no rate"),
        ("0,1\n", "at least two times"),
        ("0,0\n5,0\n", "a rate above zero"),
    ],
)
def test_a_malformed_day_is_named(tmp_path, content, message):
    file = tmp_path / "day.csv"
    file.write_text(content)
    with pytest.raises(InvalidPlan, match=message):
        read_day(file)
    with pytest.raises(InvalidPlan, match="cannot be read"):
        read_day(tmp_path / "none.csv")
