"""Which part of the time is whose: CPU of each process, and the waits that Triton counted, for one kind of load.

    python -m benchmarks.cost.profile_parts [--repository FOLDER] [--workload mixed] [--mode 32x1] [--seconds 10]

CPU comes from /proc, by process: the client, `tritonserver` itself (gRPC, scheduling, copies between steps), and the
process of each step. Queue and compute come from Triton's own counters, per request and step. The encode step answers
after its `execute` has returned, so its waiting and computing are not in Triton's counters: they are what the counters
leave of a request's latency, with transport and client. Beside the CPU stands what the encoder alone takes for such
texts in process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from benchmarks import exported
from benchmarks.closed_loop import Done, Load, as_tasks
from benchmarks.modes import MODES
from benchmarks.processes import cost_of
from benchmarks.served import served
from benchmarks.systems.bound import System as Bound
from benchmarks.workloads import WORKLOADS, make_workload
from encserve import AsyncClient
from encserve_server.launcher.server import TritonServer

STEPS = ("tokenize", "encode", "head")
DURATIONS = ("queue", "compute_input", "compute_infer", "compute_output")
_SAMPLE = re.compile(r'nv_inference_(\w+?)(?:_duration_us)?\{model="([^"]+)",version="[^"]+"\} ([0-9.e+]+)')


@dataclass(frozen=True)
class Reading:
    """What had been spent by a moment."""

    cpu_s: Mapping[str, float]
    """By part."""
    counters: Mapping[tuple[str, str], float]
    """(step, counter of Triton) -> its value; durations in microseconds."""


def main() -> None:
    arguments = parse_arguments()
    with served(arguments.repository) as server:
        found = profile(server, arguments)
    print_parts(found)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.cost.profile_parts", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repository", type=Path, help="with the pipeline minilm; by default a fresh export")
    parser.add_argument("--workload", choices=WORKLOADS, default="mixed")
    parser.add_argument("--mode", choices=MODES, default="32x1")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--each-alone", action="store_true", help="AsyncClient(coalesce=False)")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def profile(server: TritonServer, arguments: argparse.Namespace) -> dict[str, Any]:
    """Send the load, and read before and after."""
    workload, mode = make_workload(arguments.workload, exported.CHECKPOINT), MODES[arguments.mode]
    texts = [workload.texts[index % len(workload.texts)] for index in range(64 * mode.texts)]
    requests = [texts[begin : begin + mode.size] for begin in range(0, len(texts), mode.size)]
    load = Load(requests, mode.streams, arguments.seconds)

    async def send(load: Load) -> Done:
        async with AsyncClient(server.grpc_url, coalesce=not arguments.each_alone) as client:
            return await as_tasks(load, lambda each: client.embed(each, model=exported.MODEL))

    asyncio.run(send(Load(requests[: 2 * mode.streams], mode.streams, 60.0)))
    time.sleep(2.1)  # Triton refreshes its metrics every two seconds
    before = read(server)
    done = asyncio.run(send(load))
    time.sleep(2.1)
    after = read(server)
    return {
        "workload": workload.name,
        "mode": mode.name,
        "texts": done.texts,
        "texts_per_s": round(done.texts / done.wall_s, 1),
        "latency_p50_ms": round(statistics.median(done.latencies_s) * 1e3, 3),
        "cpu_s_per_1000_texts": {
            part: round(1000 * (after.cpu_s[part] - before.cpu_s[part]) / done.texts, 3) for part in after.cpu_s
        },
        "encoder_alone_cpu_s_per_1000_texts": round(encoder_alone(server.config.repository, workload.texts), 3),
        "steps": {step: per_request(step, before, after) for step in STEPS},
    }


def read(server: TritonServer) -> Reading:
    """CPU and counters so far."""
    cpu_s = {"client": time.process_time(), "tritonserver": cost_of(server.pid).own_cpu_s}
    for pid in server.stub_pids():
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        step = next((step for step in STEPS if f"_{step}/" in command), "other")
        cpu_s[step] = cpu_s.get(step, 0.0) + cost_of(pid).own_cpu_s
    with urlopen(server.metrics_url, timeout=10) as answer:
        text = answer.read().decode()
    counters = {}
    for counter, model, value in _SAMPLE.findall(text):
        counters[model.rpartition("_")[2], counter] = float(value)
    return Reading(cpu_s, counters)


def per_request(step: str, before: Reading, after: Reading) -> dict[str, float]:
    """Mean milliseconds of a request in a step, and how many requests an execution had."""

    def grown(counter: str) -> float:
        return after.counters.get((step, counter), 0.0) - before.counters.get((step, counter), 0.0)

    requests = max(1.0, grown("request_success"))
    figures = {f"{each}_ms": round(grown(each) / requests / 1e3, 3) for each in DURATIONS}
    return {**figures, "requests_per_execution": round(requests / max(1.0, grown("exec_count")), 2)}


def encoder_alone(repository: Path, texts: list[str]) -> float:
    """CPU seconds for 1,000 texts with the same graph in this process, tokenized and sorted into micro-batches."""
    bound = Bound(str(repository))
    chosen = texts[:512]
    load = Load([chosen], 1, 60.0)
    bound.run(Load([chosen[:64]], 1, 60.0), "packed")
    begin = time.process_time()
    bound.run(load, "packed")
    spent = time.process_time() - begin
    bound.close()
    return 1000 * spent / len(chosen)


def print_parts(found: Mapping[str, Any]) -> None:
    print(
        f"{found['workload']}, {found['mode']}: {found['texts_per_s']:,} texts/s, p50 {found['latency_p50_ms']} ms, "
        f"{found['texts']} texts"
    )
    total = sum(found["cpu_s_per_1000_texts"].values())
    print(f"\nCPU seconds for 1,000 texts: {total:.2f}")
    for part, value in sorted(found["cpu_s_per_1000_texts"].items(), key=lambda item: -item[1]):
        print(f"  {part:<14}{value:8.3f}  {value / total:6.1%}")
    print(f"  of which the encoder alone, in process: {found['encoder_alone_cpu_s_per_1000_texts']:.3f}")
    print("\nmilliseconds of a request in each step, by Triton's counters")
    print(
        "  " + " " * 10 + "".join(f"{each.replace('compute_', ''):>10}" for each in DURATIONS) + "   requests at a time"
    )
    for step, figures in found["steps"].items():
        values = "".join(f"{figures[f'{each}_ms']:>10.3f}" for each in DURATIONS)
        print(f"  {step:<10}{values}   {figures['requests_per_execution']}")


if __name__ == "__main__":
    main()
