"""What memory a server holds under every workload, sent in every way, for as long as asked.

    python -m benchmarks.cost.memory [--minutes 60] [--repository FOLDER] [--json FILE]

No text comes twice. Recent rows are not kept, as by default; they would add what they are given. What is asked: at most
450 MiB, and flat.
"""

from __future__ import annotations

import argparse
import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.closed_loop import Load, on_threads
from benchmarks.exported import CHECKPOINT, MODEL
from benchmarks.modes import MODES
from benchmarks.served import resident_mib, served
from benchmarks.workloads import WORKLOADS, make_workload
from encserve import Client
from encserve_server.launcher.server import TritonServer

TURN_S = 5.0
"""Of a workload in a mode, before the next has its turn."""
PERIOD_S = 1.0
"""Between two looks at the memory."""
TENTHS = 10


def main() -> None:
    """Export, serve, load, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--repository", type=Path, help="with the pipeline minilm, in place of a fresh export")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    with served(arguments.repository) as server, watched(server) as samples_mib:
        texts = load(server.grpc_url, seconds=60.0 * arguments.minutes)
    figures = {"minutes": arguments.minutes, "texts": texts, **summary(samples_mib)}
    for name, value in figures.items():
        print(f"{name:<42}{value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def load(url: str, *, seconds: float) -> int:
    """Send every workload in every mode, in turn, until the time is up. Returns how many texts were answered."""
    end_s, answered = time.monotonic() + seconds, 0
    workloads = [make_workload(name, CHECKPOINT) for name in WORKLOADS]
    with Client(url, timeout_s=600) as client:
        turns = itertools.cycle(itertools.product(workloads, MODES.values()))
        for number, (workload, mode) in enumerate(turns):
            if time.monotonic() >= end_s:
                break
            fresh = [f"{number} {text.partition(' ')[2]} {mode.name}" for text in workload.texts]
            turn = Load(mode.requests(fresh), streams=mode.streams, cap_s=TURN_S)
            answered += on_threads(turn, lambda request: client.embed(request, model=MODEL)).texts
    return answered


@contextmanager
def watched(server: TritonServer) -> Iterator[list[float]]:
    """The server's memory in MiB, looked at each second while the block runs."""
    samples_mib: list[float] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(PERIOD_S):
            samples_mib.append(resident_mib(server))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield samples_mib
    finally:
        done.set()
        thread.join()


def summary(samples_mib: list[float]) -> dict[str, object]:
    """The highest memory, overall and in each tenth of the time."""
    bounds = [len(samples_mib) * tenth // TENTHS for tenth in range(TENTHS + 1)]
    return {
        "highest MiB": round(max(samples_mib)),
        "highest MiB in each tenth of the time": [
            round(max(samples_mib[begin:end])) for begin, end in itertools.pairwise(bounds)
        ],
    }


if __name__ == "__main__":
    main()
