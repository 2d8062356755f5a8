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
from benchmarks.machine import describe_machine
from benchmarks.modes import MODES
from benchmarks.peers.linear_rows import padding_in_linear_layers
from benchmarks.peers.page import write_page
from benchmarks.peers.plan import PROCESSES, SYSTEMS, cells
from benchmarks.peers.results import Results, print_table
from benchmarks.peers.rounds import OPEN_LOOP, OPEN_SYSTEM, Rounds
from benchmarks.peers.workers import Refused, Worker
from benchmarks.workloads import WORKLOADS, Workload, make_workload

FOR_OPENVINO = ("--runtime", "openvino")
EXPORTS: dict[str, tuple[str, ...]] = {
    "encserve": (),
    "encserve-openvino": FOR_OPENVINO,
    "bound": (),
    "bound-openvino": FOR_OPENVINO,
    "encserve-int8": ("--precision", "int8"),
}
"""Process -> the options of the export that it runs."""


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
    parser.add_argument("--seconds", type=float, default=6.0, help="no request of a measurement begins later than this")
    parser.add_argument("--share", type=float, default=1.0, help="share of the texts of each mode, to try things")
    parser.add_argument(
        "--repository", type=Path, help="serve the pipeline minilm in it, in place of a fresh FP32 export"
    )
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
    workloads = {name: make_workload(name, exported.CHECKPOINT) for name in arguments.workloads}
    results = Results(facts=facts(arguments, workloads))
    places = Places(work, arguments.repository)
    workers = start_workers(arguments.systems, work, places, results)
    try:
        systems = [name for name in arguments.systems if SYSTEMS[name].process in workers]
        if not systems:
            raise SystemExit(f"none of the systems could be started: {results.refused}")
        paddings = padding_of_pipelines(workers, workloads, places, results)
        rounds = Rounds(arguments, workers=workers, workloads=workloads, paddings=paddings, results=results)
        plan = cells(systems, arguments.workloads, arguments.modes)
        for number in range(1, arguments.rounds + 1):
            for index, cell in enumerate(plan, start=1):
                title = f"round {number} of {arguments.rounds}, {index} of {len(plan)}: "
                show(title + f"{cell.system}, {cell.workload}, {cell.mode}")
                rounds.measure(cell, number)
            if OPEN_SYSTEM in systems and "32x1" in arguments.modes:
                show(f"round {number} of {arguments.rounds}: {OPEN_LOOP}")
                rounds.measure_open_loop(number)
            keep(results)
        show("")
    finally:
        for worker in set(workers.values()):
            worker.close()
    return results


def start_workers(systems: list[str], work: Path, places: Places, results: Results) -> dict[str, Worker]:
    """The workers of the systems, by process; those that cannot be started are in `results.refused`."""
    workers: dict[str, Worker] = {}
    reasons: dict[str, str] = {}
    for name in systems:
        process = SYSTEMS[name].process
        if process not in workers and process not in reasons:
            show(f"starting {process}")
            try:
                arguments = [places.fill(argument) for argument in PROCESSES[process].arguments]
                worker = Worker(process, PROCESSES[process], arguments, work / f"{process}.log")
                workers[process] = worker
                results.facts["versions"][process] = dict(worker.versions)
            except (Refused, SystemExit) as error:
                reasons[process] = str(error)
        if process in reasons:
            results.refused[name] = reasons[process]
    return workers


class Places:
    """What stands for the names in braces in the arguments of processes; made when it is asked for."""

    def __init__(self, work: Path, repository: Path | None) -> None:
        self._work = work
        self._repository = repository

    def fill(self, argument: str) -> str:
        match argument:
            case "{fp32}":
                return str(self.exported("encserve"))
            case "{int8}":
                return str(self.exported("encserve-int8"))
            case "{fp32 for OpenVINO}":
                return str(self.exported("encserve-openvino"))
            case "{checkpoint}":
                return str(exported.CHECKPOINT)
            case "{onnx}":
                return str(exported.sentence_transformers_folder("onnx"))
            case "{openvino}":
                return str(exported.sentence_transformers_folder("openvino"))
        return argument

    def exported(self, process: str) -> Path:
        """The model repository that a process serves."""
        options = EXPORTS[process]
        return exported.pipeline(self._work, *options) if options or not self._repository else self._repository


def padding_of_pipelines(
    workers: dict[str, Worker], workloads: dict[str, Workload], places: Places, results: Results
) -> dict[tuple[str, str], float]:
    """(process, workload) -> the padding in the linear layers of encserve's own graphs, counted in the graph itself."""
    found = {}
    for process in workers.keys() & EXPORTS.keys():
        graph = places.exported(process) / f"{exported.MODEL}_encode" / "1" / "model.onnx"
        for name, workload in workloads.items():
            try:
                found[process, name] = padding_in_linear_layers(graph, workload.tokens[:32])
            except Exception as error:  # a graph for another runtime; all else can be measured
                results.failed[f"{process}, padding"] = f"{type(error).__name__}: {error}"[:300]
    return found


def facts(arguments: argparse.Namespace, workloads: dict[str, Workload]) -> dict[str, Any]:
    return {
        "command": " ".join(["python -m benchmarks", *sys.argv[1:]]),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": describe_machine(),
        "python": platform.python_version(),
        "model": "all-MiniLM-L6-v2",
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "workloads": {
            name: {"mean_tokens": round(float(np.mean(each.tokens)), 1), "max_tokens": max(each.tokens)}
            for name, each in workloads.items()
        },
        "versions": {},
    }


def show(text: str) -> None:
    """What is going on, on stderr."""
    if sys.stderr.isatty():
        print(f"\r{text:<110.110}", end="", file=sys.stderr, flush=True)
    elif text:
        print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
