"""`encserve serve` in a process of its own."""

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from urllib.error import HTTPError

from own_ports import own_ports

from encserve_server.processes.process import child_pids


class Supervised:
    """The command in a process of its own.

    Args:
        repository: what is served.
        pipeline: that of it whose steps are looked up.
        program: the `encserve` that is run, as Python's arguments.
        environment: of the process; None for that of this one.
        exit_timeout_s: how long it may take to answer what it has when it ends.
        ports: those of `NAMES`; others than before without it.
        options: further ones of the command.
    """

    NAMES = ("http", "grpc", "metrics", "health")

    def __init__(
        self,
        repository,
        pipeline="minilm",
        *,
        program=("-m", "encserve"),
        environment=None,
        exit_timeout_s=5,
        ports=None,
        options=(),
    ):
        ports = ports or dict(zip(self.NAMES, own_ports(len(self.NAMES)), strict=True))
        self.ports = ports
        options = [*options, *(f"--{name}-port={port}" for name, port in ports.items())]
        self.url = f"localhost:{ports['grpc']}"
        self.metrics_address = f"127.0.0.1:{ports['metrics']}"
        self.health_url = f"http://127.0.0.1:{ports['health']}/health"
        self.said = []  # (when, line)
        self.pipeline = pipeline
        self.launcher = subprocess.Popen(
            [
                sys.executable,
                *program,
                "serve",
                f"--repository={repository}",
                f"--exit-timeout-s={exit_timeout_s}",
                *options,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait_for_starts(1)

    def _read(self):
        for line in self.launcher.stdout:
            self.said.append((time.monotonic(), line))

    @property
    def lines(self):
        """What it has printed."""
        return [line for _, line in self.said]

    @property
    def starts(self):
        """How often a server has begun to answer."""
        return sum(line.startswith("Ctrl-C") for line in self.lines)

    def health(self):
        """What its page says: the status, and the state of each pipeline."""
        try:
            with urllib.request.urlopen(self.health_url, timeout=60) as page:
                return page.status, json.loads(page.read())
        except HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def ask_health(self):
        """The exit code of `encserve health`."""
        command = [sys.executable, "-m", "encserve", "health", f"--url={self.url}", "--timeout-s=60"]
        return subprocess.run(command, stdout=subprocess.DEVNULL, timeout=600, check=False).returncode

    def stop(self):
        """End it as an operator does, and return its exit code. Stopping twice is harmless."""
        if self.launcher.poll() is None:
            self.launcher.send_signal(signal.SIGTERM)
        code = self.launcher.wait(300)
        self._reader.join()
        self.launcher.stdout.close()
        return code

    def wait_for_starts(self, count):
        """Until a server has begun to answer for the `count`th time."""
        self.wait_for("Ctrl-C", count)

    def wait_for(self, beginning, count=1):
        """Until it has printed a line that begins so for the `count`th time."""
        deadline_s = time.monotonic() + 600
        while sum(line.startswith(beginning) for line in self.lines) < count:
            assert time.monotonic() < deadline_s, self.lines
            assert self.launcher.poll() is None, self.lines
            time.sleep(0.02)

    def report(self, what, since_s):
        """Print how long the last recovery took; `since_s` is when it became necessary."""
        noticed_s, serves_s = (
            next(at_s for at_s, line in reversed(self.said) if line.startswith(beginning))
            for beginning in ("starting the server again", "Ctrl-C")
        )
        print(f"{what}: noticed after {noticed_s - since_s:.1f} s, serves after {serves_s - since_s:.1f} s")

    @property
    def guard(self):
        """The process that leads the group of the server."""
        (guard,) = child_pids(self.launcher.pid)
        return guard

    @property
    def server(self):
        return child_pids(self.guard)[0]

    def step(self, name):
        """The process of a step."""
        return next(
            pid
            for pid in child_pids(self.server)
            if f"{self.pipeline}_{name}" in Path(f"/proc/{pid}/cmdline").read_text()
        )
