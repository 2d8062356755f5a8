"""What a start costs: from `encserve serve` to the first answer, in parts, by process, in time and memory.

    python -m benchmarks.cost.start [--rounds 5] [--models minilm bert-base] [--repositories FOLDER] [--json FILE]

Each round starts each model's server anew, once as it is and once with one thread a text
(`ENCSERVE_INTRA_OP_THREADS=1`), which leaves out the second copy of the graph: the memory between the two, by the size
of the graph without the tables that all sessions map, says how often weights are held. BERT-base has random weights.
`--repositories` keeps the exports, each in a folder of the model's name, for another run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.cost.started import Running, processes_of
from benchmarks.exported import CHECKPOINT
from benchmarks.gpu.networks import find_or_write
from benchmarks.machine import describe_machine
from benchmarks.processes import kill
from encserve import Client, EncserveError
from encserve_server.launcher.ports import free_ports
from encserve_server.steps.encode.network.intra_op_threads import copied_bytes
from encserve_server.steps.instance.settings import read_settings

STEPS = ("tokenize", "encode", "head")
PARTS = ("launcher", "triton", "steps", "first answer")
START_S = 600.0
"""A server that has not answered by then has failed."""
ONE_COPY = {"ENCSERVE_INTRA_OP_THREADS": "1"}
IMPORT = """
import importlib, json, sys, time, types
sys.modules["triton_python_backend_utils"] = types.ModuleType("triton_python_backend_utils")
sys.path.insert(0, sys.argv[1])
begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
importlib.import_module("1.model")
print(json.dumps([time.perf_counter() - begin_s, time.process_time() - begin_cpu_s]))
"""
"""Imports a step's model.py as Triton's stub does, in a bare Python, and prints the seconds and processor seconds."""


@dataclass(frozen=True)
class Start:
    """One start."""

    ready_s: float
    """From the launch until Triton says over HTTP that it is ready."""
    answered_s: float
    """Until the first text was answered, with a client that had been imported before."""
    processes: list[Running]
    """Right after the first answer."""

    @property
    def parts(self) -> dict[str, float]:
        """Seconds, one after the other, in `PARTS`: until Triton's process began, until that of the first step began,
        until Triton was ready, until the answer."""
        first = {each.name: each.began_s for each in reversed(self.processes)}
        triton_s = first["tritonserver"]
        steps_s = min(each.began_s for each in self.processes if each.name.endswith(STEPS))
        ends = (triton_s, steps_s, self.ready_s, self.answered_s)
        return dict(zip(PARTS, (end - begin for begin, end in zip((0.0, *ends), ends, strict=False)), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.cost.start", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", nargs="+", choices=("minilm", "bert-base"), default=["minilm", "bert-base"])
    parser.add_argument("--repositories", type=Path, help="where exports are kept, in place of a folder that goes")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        kept = arguments.repositories or Path(work)
        repositories = {name: exported(name, kept / name, Path(work)) for name in arguments.models}
        whole: dict[str, list[Start]] = {name: [] for name in repositories}
        lean: dict[str, list[Start]] = {name: [] for name in repositories}
        imports: dict[str, list[dict[str, list[float]]]] = {name: [] for name in repositories}
        for number in range(1, arguments.rounds + 1):
            for name, repository in repositories.items():
                print(f"round {number} of {arguments.rounds}: {name}", file=sys.stderr, flush=True)
                whole[name].append(start_once(repository, name, {}))
                lean[name].append(start_once(repository, name, ONE_COPY))
                imports[name].append({step: import_seconds(repository / f"{name}_{step}") for step in STEPS})
        graphs = {name: graph_bytes(repository, name) for name, repository in repositories.items()}
    models = {name: summary(whole[name], lean[name], imports[name], graphs[name]) for name in repositories}
    figures = {
        "command": " ".join(["python -m benchmarks.cost.start", *sys.argv[1:]]),
        "machine": describe_machine(),
        "models": models,
    }
    print_summary(models)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


def exported(name: str, repository: Path, work: Path) -> Path:
    """A repository with one pipeline; made if it is not there."""
    if (repository / name).is_dir():
        return repository
    checkpoint = CHECKPOINT
    if name != "minilm":
        checkpoint, _ = find_or_write(name, work / f"checkpoint-{name}", at_hand=None, tiny=False)
    export = [sys.executable, "-m", "encserve", "export", str(checkpoint), "--name", name]
    subprocess.run([*export, "--repository", str(repository)], check=True)
    return repository


def start_once(repository: Path, name: str, environment: Mapping[str, str]) -> Start:
    """Start a server, ask it one text, and end it.

    Raises:
        SystemExit: it ended, or did not answer in time; says what it wrote last.
    """
    http_port, grpc_port, metrics_port = free_ports(3)
    ports = [f"--http-port={http_port}", f"--grpc-port={grpc_port}", f"--metrics-port={metrics_port}"]
    command = [sys.executable, "-m", "encserve", "serve", f"--repository={repository}", *ports]
    with tempfile.TemporaryFile("w+") as log:
        begin_s = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environment})
        try:
            ready_s = _when_ready(process, http_port) - begin_s
            with Client(f"127.0.0.1:{grpc_port}", timeout_s=START_S) as client:
                client.embed(["a text"], model=name)
            answered_s = time.perf_counter() - begin_s
            return Start(ready_s, answered_s, processes_of(process.pid))
        except (EncserveError, TimeoutError, ProcessLookupError) as error:
            log.seek(0)
            said = [line for line in log.read().splitlines() if line.strip()]
            raise SystemExit(
                f"the server did not answer: {error}; it wrote: {said[-1] if said else 'nothing'}"
            ) from error
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                kill(process.pid)
                process.wait()


def _when_ready(process: subprocess.Popen[bytes], http_port: int) -> float:
    end_s = time.perf_counter() + START_S
    while time.perf_counter() < end_s:
        if process.poll() is not None:
            raise ProcessLookupError(f"it ended with {process.returncode}")
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{http_port}/v2/health/ready", timeout=5):
            return time.perf_counter()
        time.sleep(0.01)
    raise TimeoutError(f"not ready after {START_S:.0f} s")


def import_seconds(folder: Path) -> list[float]:
    """Seconds and processor seconds to import the step of version 1 of a model's `folder`, in a Python of its own."""
    ran = subprocess.run([sys.executable, "-c", IMPORT, str(folder)], capture_output=True, text=True, check=True)
    seconds: list[float] = json.loads(ran.stdout)
    return seconds


def graph_bytes(repository: Path, name: str) -> tuple[int, int]:
    """Bytes of the graph that each session copies, of which nearly all are weights of products; and bytes of its
    tables, which it maps."""
    folder = repository / f"{name}_encode" / "1"
    settings = read_settings(folder)
    return copied_bytes(folder, settings), int(settings.get("mapped_bytes", 0))


def summary(
    whole: Sequence[Start],
    lean: Sequence[Start],
    imports: Sequence[Mapping[str, Sequence[float]]],
    graph: tuple[int, int],
) -> dict[str, Any]:
    """Medians of the rounds; `graph` is what `graph_bytes` says."""
    copied, mapped = graph
    names = [each.name for each in whole[0].processes]
    by_name = [{each.name: each for each in start.processes} for start in whole]
    processes = {
        name: {
            figure: round(statistics.median(getattr(each[name], figure) for each in by_name if name in each), 3)
            for figure in ("began_s", "cpu_s", "pss_bytes", "private_bytes")
        }
        for name in names
    }
    held = [_encode_bytes(a) / copied for a in lean]
    both = [_encode_bytes(a) / copied for a in whole]
    return {
        "rounds": len(whole),
        "answered_s": round(statistics.median(each.answered_s for each in whole), 3),
        "answered_s_of_rounds": [round(each.answered_s, 3) for each in whole],
        "parts_s": {part: round(statistics.median(each.parts[part] for each in whole), 3) for part in PARTS},
        "import_s": {step: round(statistics.median(each[step][0] for each in imports), 3) for step in STEPS},
        "import_cpu_s": {step: round(statistics.median(each[step][1] for each in imports), 3) for step in STEPS},
        "processes": processes,
        "pss_bytes": statistics.median(sum(each.pss_bytes for each in start.processes) for start in whole),
        "cpu_s": round(statistics.median(sum(each.cpu_s for each in start.processes) for start in whole), 3),
        "copied_bytes": copied,
        "mapped_bytes": mapped,
        "second_copy_in_graphs": round(statistics.median(both) - statistics.median(held), 2),
        "starts": [asdict(each) for each in whole],
    }


def _encode_bytes(start: Start) -> int:
    return sum(each.private_bytes for each in start.processes if each.name.endswith("_encode"))


def print_summary(models: Mapping[str, Mapping[str, Any]]) -> None:
    """For a terminal."""
    for name, found in models.items():
        parts = ", ".join(f"{part} {seconds:.2f}" for part, seconds in found["parts_s"].items())
        print(f"\n{name}: {found['answered_s']:.2f} s to the first answer ({parts}); {found['cpu_s']:.2f} processor s")
        print(f"  {'':<24}{'began s':>9}{'CPU s':>9}{'PSS MiB':>9}{'private MiB':>13}{'import s':>10}{'CPU s':>8}")
        for process, each in found["processes"].items():
            step = process.rpartition("_")[2]
            imported = [found[figure].get(step) for figure in ("import_s", "import_cpu_s")]
            shown = "".join(
                f"{'' if value is None else f'{value:.2f}':>{width}}"
                for value, width in zip(imported, (10, 8), strict=True)
            )
            memory = f"{each['pss_bytes'] / 2**20:>9.0f}{each['private_bytes'] / 2**20:>13.0f}"
            print(f"  {process:<24}{each['began_s']:>9.2f}{each['cpu_s']:>9.2f}{memory}{shown}")
        copied, mapped = (f"{found[figure] / 2**20:.0f} MiB" for figure in ("copied_bytes", "mapped_bytes"))
        print(f"  all: {found['pss_bytes'] / 2**20:.0f} MiB; graph {copied} and {mapped} of mapped tables;")
        print(f"  the copy for lone texts takes {found['second_copy_in_graphs']:.2f} times the {copied}")


if __name__ == "__main__":
    main()
