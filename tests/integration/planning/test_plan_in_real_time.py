"""The generator and the search in real time, through the SDK and gRPC, against queues whose behaviour is known exactly.

The same is held against theory in virtual time, with windows of many minutes. Here they are short, so the arrivals are
seeded, with seeds whose own sampling error is small: the recursion below says how large it is.
"""

import asyncio
import heapq

import numpy as np
import pytest
from known_server import KnownServer, serving_known
from unit.loadtest.queue_theory import mdc_capacity_per_s, mdc_percentile_s

from encserve import AsyncClient
from encserve_loadtest.estimate.capacity import Capacity
from encserve_loadtest.estimate.search import find_capacity
from encserve_loadtest.measurement.bench import ALL_AT_ONCE, SEND_ONCE, Bench
from encserve_loadtest.measurement.window import SETTLE_SHARE, Window, percentile_s
from encserve_loadtest.traffic.arrivals import poisson, schedule_s

pytestmark = pytest.mark.slow

ATTEMPTS = 3
LATENESS_SHARE = 0.03
"""Of the percentile in theory: a generator that is later than that has not measured the queue."""


def bench_on(client: AsyncClient, **options: float) -> Bench:
    async def send(index: int) -> int:
        return int((await client.embed(["a text"], model="fake")).token_counts.sum())

    return Bench(send=send, **options)


def waited_s(due_s: np.ndarray, *, service_s: float, servers: int) -> np.ndarray:
    """The exact latency of each request of an M/D/c queue, by Lindley's recursion."""
    free_at_s, latency_s = [0.0] * servers, []
    for arrived_s in due_s:
        done_s = max(arrived_s, heapq.heappop(free_at_s)) + service_s
        heapq.heappush(free_at_s, done_s)
        latency_s.append(done_s - arrived_s)
    return np.array(latency_s)


@pytest.mark.parametrize("servers", [1, 4])
def test_the_percentile_is_that_of_queueing_theory(servers):
    service_s, load, duration_s, seed = 0.06 * servers, 0.7, 180, 9  # percentiles far above what a loaded host adds
    rate_per_s = load * servers / service_s
    theory_s = mdc_percentile_s(99, rate_per_s=rate_per_s, service_s=service_s, servers=servers)

    async def measure(url: str) -> Window:
        async with AsyncClient(url, retry=SEND_ONCE, concurrency=ALL_AT_ONCE, coalesce=False) as client:
            bench = bench_on(client, target_p99_s=1, window_s=duration_s, seed=seed)
            return await bench.at_rate(rate_per_s)

    def window_on_time() -> Window:
        """What the generator sent late says nothing of a queue."""
        late_s = []
        for _ in range(ATTEMPTS):
            with serving_known(KnownServer(service_s=service_s, servers=servers)) as url:
                window = asyncio.run(measure(url))
            if window.lateness_p99_s <= LATENESS_SHARE * theory_s:
                return window
            late_s.append(window.lateness_p99_s)
        pytest.fail(f"not measured: the generator's p99 of lateness was {late_s} s, p99 in theory is {theory_s:.3f} s")

    window = window_on_time()
    due_s = schedule_s(poisson, rate_per_s=rate_per_s, duration_s=duration_s, rng=np.random.default_rng((seed, 0)))
    exact_s = waited_s(due_s, service_s=service_s, servers=servers)[due_s >= SETTLE_SHARE * duration_s]
    assert percentile_s(exact_s, 99) == pytest.approx(theory_s, rel=0.03), "these arrivals are not typical enough"
    print(
        f"\n{servers} places of {service_s:g} s at {rate_per_s:.1f} requests/s for {duration_s} s: p99 "
        f"{window.p99_s:.4f} s measured, {theory_s:.4f} s in theory, {percentile_s(exact_s, 99):.4f} s for the arrivals"
    )
    assert window.p99_s == pytest.approx(theory_s, rel=0.10)
    assert window.achieved_per_s == pytest.approx(window.offered_per_s, rel=0.02)


@pytest.mark.parametrize(("servers", "target_s", "seed"), [(1, 0.2, 3), (4, 0.4, 5)])
def test_the_capacity_is_that_of_queueing_theory(servers, target_s, seed):
    service_s = 0.02 * servers

    async def search(url: str) -> Capacity:
        async with AsyncClient(url, retry=SEND_ONCE, concurrency=ALL_AT_ONCE, coalesce=False) as client:
            bench = bench_on(client, target_p99_s=target_s, window_s=12, seed=seed)
            return await find_capacity(bench, target_s=target_s, time_s=150)

    with serving_known(KnownServer(service_s=service_s, servers=servers)) as url:
        capacity = asyncio.run(search(url))
    theory_per_s = mdc_capacity_per_s(target_s, service_s=service_s, servers=servers)
    print(
        f"\n{servers} places of {service_s:g} s, p99 under {target_s:g} s: {capacity.rate_per_s:.2f} requests/s "
        f"measured, 95 % interval {capacity.low_per_s:.2f} to {capacity.high_per_s:.2f}, {theory_per_s:.2f} in theory"
    )
    assert capacity.low_per_s <= theory_per_s <= 1.03 * capacity.high_per_s  # the server itself takes a little
