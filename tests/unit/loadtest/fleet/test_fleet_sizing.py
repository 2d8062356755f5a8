"""From a capacity to replicas, zones, a price, and the wait at which a replica is added."""

import pytest
from unit.loadtest.windows import window

from encserve_loadtest.estimate.capacity import Capacity
from encserve_loadtest.fleet.sizing import price, size_fleet
from encserve_loadtest.fleet.waiting import wait_curve


def test_replicas_keep_the_target_with_one_down():
    sizing = size_fleet(2_000, Capacity(rate_per_s=100, low_per_s=90, high_per_s=110))
    assert (sizing.needed, sizing.replicas) == (23, 24)
    assert sizing.headroom == pytest.approx(1 - 2_000 / (24 * 90))
    assert sizing.headroom_degraded == pytest.approx(1 - 2_000 / (23 * 90))


def test_the_loss_of_a_zone_takes_a_third_or_more():
    sizing = size_fleet(2_000, Capacity(rate_per_s=100, low_per_s=90, high_per_s=110))
    assert (sizing.zone_loss, sizing.holds_without_a_zone) == (8 / 24, False)
    assert sizing.replicas_for_a_zone == 35  # 12 of 35 are in the fullest zone, 23 are left
    few = size_fleet(50, Capacity(rate_per_s=100, low_per_s=90, high_per_s=110))
    assert (few.replicas, few.zone_loss, few.holds_without_a_zone, few.replicas_for_a_zone) == (2, 0.5, True, 2)


def test_the_price_of_texts_and_tokens():
    sizing = size_fleet(100, Capacity(rate_per_s=100, low_per_s=100, high_per_s=100))
    cost = price(sizing, replica_cost_per_hour=3.6, texts_per_request=4, tokens_per_request=200)
    assert cost.per_million_texts == cost.per_million_texts_at_best
    assert cost.per_million_texts == pytest.approx(2 * 3.6 / 3600 / 100 / 4 * 1e6)
    assert cost.per_million_tokens == pytest.approx(2 * 3.6 / 3600 / 100 / 200 * 1e6)


def test_the_price_has_the_interval_of_the_capacity():
    sizing = size_fleet(2_000, Capacity(rate_per_s=100, low_per_s=90, high_per_s=110))
    assert (sizing.needed, sizing.needed_at_best) == (23, 19)
    cost = price(sizing, replica_cost_per_hour=1.2, texts_per_request=1, tokens_per_request=30)
    assert cost.per_million_texts_at_best / cost.per_million_texts == pytest.approx(20 / 24)
    assert cost.per_million_tokens_at_best / cost.per_million_tokens == pytest.approx(20 / 24)


def test_a_replica_is_added_by_the_wait_before_the_capacity_is_reached():
    windows = [window(p99_s, rate_per_s=rate) for rate, p99_s in [(20, 0.04), (40, 0.08), (60, 0.2)]]
    curve = wait_curve([*windows, window(rate_per_s=None, users=1)], alone_s=0.005)
    means = [each.mean_s - 0.005 for each in windows]
    assert curve.waits_s == pytest.approx([0, *means])
    assert curve.wait_s(50) == pytest.approx((means[1] + means[2]) / 2)
    assert curve.added_at_s(40 / 0.85) == pytest.approx(means[1])
    assert curve.wait_s(10) == pytest.approx(means[0] / 2)
    assert wait_curve([window(rate_per_s=None, users=1)], alone_s=0.005) is None
