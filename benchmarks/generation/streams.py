"""What it takes to send each token as it is made: texts in streams beside the same texts whole, in turn.

    python -m benchmarks.generation.streams [--rounds 5] [--texts 64] [--keep FOLDER] [--tiny]

A T5 of the size of t5-small with random weights in FP32, 16 texts in flight. Tokens a second want a quiet machine; the
processor time of a token, by process, moves less where others use it: that of the generate step, of Triton, and of the
client, which all share the same cores.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from benchmarks.generation.checkpoint import requests, write_checkpoint
from benchmarks.generation.exported import name_in
from benchmarks.generation.systems import Served, served
from benchmarks.machine import describe_machine
from benchmarks.processes import cost_of
from benchmarks.written import table
from encserve_export.config import ExportConfig, Precision
from encserve_export.export import export

WHOLE, STREAMED = "encserve-fp32, 16 in flight", "encserve-fp32, 16 streams"
PARTS = ("the generate step", "Triton", "the client")


def main() -> None:
    """Export, measure, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=64)
    parser.add_argument("--keep", type=Path, help="export into this folder, or take what a run before exported into it")
    parser.add_argument("--tiny", action="store_true", help="a small network, to try the run itself")
    arguments = parser.parse_args()
    machine = describe_machine()
    per_s = defaultdict[str, list[float]](list)
    ms = defaultdict[str, list[tuple[float, ...]]](list)
    with ExitStack() as cleanup:
        folder = arguments.keep or Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="encserve-streams-")))
        checkpoint, repository = folder / "checkpoint", folder / "models"
        if not repository.exists():
            write_checkpoint(checkpoint, tiny=arguments.tiny)
            export(ExportConfig(checkpoint=str(checkpoint), name=name_in(Precision.FP32), repository=repository))
        asked = requests(checkpoint, arguments.texts, seed=0)
        systems = cleanup.enter_context(served(repository))
        for name in (WHOLE, STREAMED):
            systems[name].make(asked[:2])
        for number in range(arguments.rounds):
            for name in (WHOLE, STREAMED) if number % 2 else (STREAMED, WHOLE):
                system = systems[name]
                assert isinstance(system, Served)
                before = _cpu_s(system.pid)
                took = system.make(asked)
                spent = [now - then for now, then in zip(_cpu_s(system.pid), before, strict=True)]
                per_s[name].append(took.per_s)
                ms[name].append(tuple(1e3 * seconds / took.tokens for seconds in spent))
    rows = []
    for name in (WHOLE, STREAMED):
        parts = (f"{statistics.median(part):.2f} ms" for part in zip(*ms[name], strict=True))
        rows.append([name, f"{statistics.median(per_s[name]):,.0f}", *parts])
    print(table(["", "tokens/s", *(f"processor time of a token: {part}" for part in PARTS)], rows))
    ratios = sorted(own / whole for own, whole in zip(per_s[STREAMED], per_s[WHOLE], strict=True))
    print(f"\nstreams by whole texts: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")
    print(f"\n{machine['cpu']}, {machine['cores']} cores, {machine['load_before']} programs beside it when it began.")


def _cpu_s(pid: int) -> tuple[float, float, float]:
    """Processor seconds of the processes of Triton's steps, of Triton itself, and of this process."""
    cost = cost_of(pid)
    return cost.children_cpu_s, cost.own_cpu_s, time.process_time()


if __name__ == "__main__":
    main()
