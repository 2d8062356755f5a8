"""encserve beside its peers, beside what a process can do at most, and beside the machine's roofline.

    python -m benchmarks [--rounds 5] [--seconds 6] [--systems ...] [--workloads ...] [--modes ...]

One run on one machine, with the same weights and the same texts: all systems in turn, and that repeated. What counts
are ratios within the run. Peers need environments of their own, which benchmarks/environments/make.sh makes; one that
is not there, or does not start, stands in the results with the reason.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import exported
from benchmarks.machine import available_mib, describe_machine
from benchmarks.modes import MODES
from benchmarks.peers.catalogue import PROCESSES, SYSTEMS
from benchmarks.peers.linear_rows import padding_in_linear_layers
from benchmarks.peers.made import Made
from benchmarks.peers.page import write_page
from benchmarks.peers.plan import cells, processes_of
from benchmarks.peers.quality import Quality, reference, texts
from benchmarks.peers.results import Results, print_table
from benchmarks.peers.rounds import OPEN_LOOP, OPEN_SYSTEM, Rounds, numbers_in_time
from benchmarks.peers.workers import Refused, Worker
from benchmarks.places import OTHER_CHECKPOINT
from benchmarks.workloads import WORKLOADS, Workload, make_workload

LEAVE_MIB = 2_500
"""Of memory, which no worker is started without: the next one takes some of it, and so do loads."""


def main() -> None:
    arguments = parse_arguments()
    begin = time.monotonic()
    arguments.json.parent.mkdir(parents=True, exist_ok=True)

    def keep(results: Results) -> None:
        results.facts["duration_s"] = round(time.monotonic() - begin)
        arguments.json.write_text(json.dumps(results.to_json(), indent=1) + "\n")
        write_page(results, arguments.page)

    with tempfile.TemporaryDirectory() as folder:
        results = measure(arguments, Path(folder), keep)
    print_table(results)
    print(f"\n{arguments.json} and {arguments.page}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--systems", type=_names(SYSTEMS), default=list(SYSTEMS), help=f"of {'; '.join(SYSTEMS)}")
    parser.add_argument(
        "--workloads", type=_names(WORKLOADS), default=list(WORKLOADS), help="the first is measured in all modes"
    )
    parser.add_argument("--modes", type=_names(MODES), default=list(MODES), help=f"of {', '.join(MODES)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, help="begin no round that would end later than this after the start")
    parser.add_argument("--seconds", type=float, default=6.0, help="no request of a measurement begins later than this")
    parser.add_argument("--share", type=float, default=1.0, help="share of the texts of each mode, to try things")
    parser.add_argument(
        "--repository", type=Path, help="serve the pipeline minilm in it, in place of a fresh FP32 export"
    )
    parser.add_argument("--export", nargs="*", default=[], metavar="OPTION", help="of every export, such as limits")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/bench.json"))
    parser.add_argument("--page", type=Path, default=Path("benchmarks/results/bench.html"))
    return parser.parse_args()


def _names(known: Any) -> Any:
    """A parser of names, separated by semicolons or, where no name holds one, by commas."""

    def parse(text: str) -> list[str]:
        names = [name.strip() for name in text.split(";" if ";" in text or text in known else ",") if name.strip()]
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {'; '.join(known)}")
        return names

    return parse


def measure(arguments: argparse.Namespace, work: Path, keep: Callable[[Results], None]) -> Results:
    """All cells, in as many rounds as are wanted; what there is after each round is kept."""
    begin = time.monotonic()
    workloads = {name: make_workload(name, exported.CHECKPOINT) for name in arguments.workloads}
    results = Results(facts=facts(arguments, workloads))
    made = Made(work, arguments.repository, tuple(arguments.export))
    workers = start_workers(arguments.systems, work, made, results)
    try:
        judge(workers, arguments.systems, results)
        systems = [name for name in arguments.systems if name not in results.refused]
        if not systems:
            raise SystemExit(f"none of the systems could be started: {results.refused}")
        paddings = padding_of_pipelines(workers, workloads, made, results)
        rounds = Rounds(arguments, workers=workers, workloads=workloads, paddings=paddings, results=results)
        plan = cells([SYSTEMS[name] for name in systems], arguments.workloads, arguments.modes)
        results.facts["started_s"] = round(time.monotonic() - begin)
        for number in numbers_in_time(arguments.rounds, begun_s=begin, minutes=arguments.minutes):
            for index, cell in enumerate(plan, start=1):
                if cell.workload != arguments.workloads[0] and number % 2 == 0:
                    continue
                title = f"round {number} of {arguments.rounds}, {index} of {len(plan)}: "
                show(title + f"{cell.system}, {cell.workload}, {cell.mode}")
                rounds.measure(cell, number)
            if OPEN_SYSTEM in systems and "32x1" in arguments.modes:
                show(f"round {number} of {arguments.rounds}: {OPEN_LOOP}")
                rounds.measure_open_loop(number)
            results.facts["rounds"] = number
            keep(results)
        show("")
    finally:
        for worker in set(workers.values()):
            worker.close()
    return results


def start_workers(systems: list[str], work: Path, made: Made, results: Results) -> dict[str, Worker]:
    """The workers of the systems, by process; those that cannot be started are in `results.refused`."""
    workers: dict[str, Worker] = {}
    for process in dict.fromkeys(SYSTEMS[name].process for name in systems):
        show(f"starting {process}")
        begin = time.monotonic()
        try:
            if available_mib() < LEAVE_MIB:  # all workers stay until the end
                raise Refused(f"the others had left less than {LEAVE_MIB:,} MiB of memory")
            arguments = [made.fill(argument) for argument in PROCESSES[process].arguments]
            worker = Worker(process, PROCESSES[process], arguments, work / f"{process}.log")
        except (Refused, SystemExit) as error:
            results.refused |= dict.fromkeys(set(systems).intersection(processes_of(SYSTEMS, process)), str(error))
            continue
        workers[process] = worker
        results.facts["versions"][process] = dict(worker.versions)
        results.facts["start_s"][process] = round(time.monotonic() - begin, 1)
    return workers


def judge(workers: dict[str, Worker], systems: list[str], results: Results) -> None:
    """See that every system makes the right vectors before any is measured; one that does not is refused."""
    asked = texts()
    right = reference(exported.CHECKPOINT, asked)
    for name in systems:
        system = SYSTEMS[name]
        if system.roofline or system.process not in workers:
            continue
        show(f"vectors of {name}")
        try:
            found = Quality.of(workers[system.process].embed(asked, system.variant, timeout_s=300), right)
            results.quality[name] = found
            wrong = found.wrong(system.precision)
        except (Refused, ValueError) as error:
            wrong = f"no vectors: {error}"
        if wrong:
            results.refused[name] = wrong
    for process in list(workers):
        if set(systems).intersection(processes_of(SYSTEMS, process)) <= results.refused.keys():
            workers.pop(process).close()


def padding_of_pipelines(
    workers: dict[str, Worker], workloads: dict[str, Workload], made: Made, results: Results
) -> dict[tuple[str, str], float]:
    """(process, workload) -> the padding in the linear layers of encserve's own graphs, counted in the graph itself:
    with every workload in the FP32 graph, with the first in those of other options."""
    found = {}
    for process in workers:
        if not process.startswith(("encserve", "bound")):
            continue
        repository = Path(made.fill(PROCESSES[process].arguments[0]))
        graph = repository / f"{exported.MODEL}_encode" / "1" / "model.onnx"
        for name in workloads if process == "encserve" else list(workloads)[:1]:
            try:
                found[process, name] = padding_in_linear_layers(graph, workloads[name].tokens[:32])
            except Exception as error:  # a graph for another runtime; all else can be measured
                results.failed[f"{process}, padding"] = f"{type(error).__name__}: {error}"[:300]
    return found


def facts(arguments: argparse.Namespace, workloads: dict[str, Workload]) -> dict[str, Any]:
    return {
        "command": " ".join(["python -m benchmarks", *sys.argv[1:]]),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": describe_machine(),
        "python": platform.python_version(),
        "model": exported.CHECKPOINT.name if OTHER_CHECKPOINT else "all-MiniLM-L6-v2",
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "workloads": {
            name: {"mean_tokens": round(float(np.mean(each.tokens)), 1), "max_tokens": max(each.tokens)}
            for name, each in workloads.items()
        },
        "versions": {},
        "start_s": {},
    }


def show(text: str) -> None:
    """What is going on, on stderr."""
    if sys.stderr.isatty():
        print(f"\r{text:<110.110}", end="", file=sys.stderr, flush=True)
    elif text:
        print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
