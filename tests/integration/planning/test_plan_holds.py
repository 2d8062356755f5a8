"""What a plan of the real pipeline says, measured again: by fresh runs, and by Triton's own load generator."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from perf_analyzer import throughput_at
from plan_command import plan

from encserve._commands.access import Access
from encserve_loadtest.config import PlanConfig
from encserve_loadtest.measurement.bench import make_bench, open_client
from encserve_loadtest.measurement.window import Window
from encserve_loadtest.planner import prepare

pytestmark = pytest.mark.slow

TARGET_S = 0.5
FRESH_RUNS = 5
FRESH_RUN_S = 60.0
FAR_BEYOND = 1.3
FRESH_SEED = 1_000
"""Of arrivals and texts that the plan has not seen."""


@pytest.fixture(scope="module")
def planned(minilm, tmp_path_factory) -> dict[str, Any]:
    """The findings of a plan with the default time."""
    folder: Path = tmp_path_factory.mktemp("planned")
    options = ["--model=minilm", f"--url={minilm.grpc_url}", f"--metrics-url={minilm.metrics_url}"]
    done = plan(*options, f"--p99={1e3 * TARGET_S:g}ms", "--corpus=queries", folder=folder)
    found: dict[str, Any] = json.loads((folder / "plan.json").read_text())
    if "too busy" in found["problem"]:
        pytest.skip(found["problem"])
    assert done.returncode == 0, done.stdout + done.stderr
    print(f"\n{done.stdout}")
    return found


def fresh_runs(url: str, rate_per_s: float) -> list[Window]:
    config = PlanConfig(model="minilm", target_p99_s=TARGET_S, url=url, corpus="queries", seed=FRESH_SEED)

    async def measure() -> list[Window]:
        async with open_client(config, url, Access()) as client:
            bench = make_bench(config, prepare(config, Access()), client)
            return [await bench.at_rate(rate_per_s, duration_s=FRESH_RUN_S) for _ in range(FRESH_RUNS)]

    return asyncio.run(measure())


def test_fresh_runs_hold_the_target_at_the_low_end_and_miss_it_far_beyond_the_high_end(minilm, planned):
    low, high = planned["capacity"]["low_per_s"], planned["capacity"]["high_per_s"]
    held, missed = fresh_runs(minilm.grpc_url, low), fresh_runs(minilm.grpc_url, FAR_BEYOND * high)
    print(f"\nat {low:.1f}/s: {[each.p99_s for each in held]}; beyond {high:.1f}/s: {[each.p99_s for each in missed]}")
    assert all(each.p99_s <= TARGET_S for each in held)
    assert all(each.p99_s > TARGET_S for each in missed)


def test_perf_analyzer_agrees_at_the_rate_that_the_planner_holds(minilm, planned, tmp_path):
    rate = round(planned["capacity"]["low_per_s"])
    measured_per_s, said = throughput_at(
        rate,
        url=minilm.grpc_url,
        secret=minilm.admin_secret,
        model="minilm",
        text="the light of the river in the city by night",
        folder=tmp_path,
    )
    print(f"\nperf_analyzer, asked for {rate}/s, measured {measured_per_s:.1f}/s\n{said}")
    assert measured_per_s == pytest.approx(rate, rel=0.10)
