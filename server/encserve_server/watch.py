"""Noticing that a server no longer does its work: by asking it, as a caller would."""

import time
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from encserve import EncserveError, PipelineInfo, TransportError
from encserve_server.server import TritonServer

CHECK_S = 0.5
"""Between two rounds of questions."""
PROBE_TIMEOUT_S = 2.0
SILENT_S = 2.5
"""A pipeline that has answered nobody for so long, while nothing of it computes, is stuck."""
SILENT_THOUGH_BUSY_S = 60.0
"""The same, while its processes compute: a request of the largest size takes its time on a slow machine."""
BUSY_SHARE = 0.05
"""Of a core: processes that use more compute something. Idle ones use less than a hundredth."""
FAILURES = 2
"""Errors in a row that are no accident."""


def watch(server: TritonServer) -> str:
    """Return, as soon as the server does not work any more, what is wrong with it."""
    health = Health(server.pipelines)
    stopped_before: set[int] = set()
    while True:
        server.process.wait(CHECK_S)
        if not server.process.is_alive:
            return server.process.describe_end()
        stubs = server.process.stub_pids()
        stopped = {pid for pid in (server.process.pid, *stubs) if state_of(pid) == "T"}
        if still := stopped & stopped_before:
            return f"processes {sorted(still)} are stopped"
        stopped_before = stopped
        for pipeline in server.pipelines:
            try:
                server.ask(pipeline, timeout_s=PROBE_TIMEOUT_S)
                health.answered(pipeline.name)
            except EncserveError as error:
                # Of a process that died Triton says INTERNAL; else we were refused, or nobody answered.
                if isinstance(error, TransportError) and error.status != "INTERNAL":
                    problem = health.silent(pipeline.name, error, answers_of(server, pipeline), cpu_s(stubs))
                else:
                    problem = health.failed(pipeline.name, error)
                if problem:
                    return problem


class Health:
    """When each pipeline was last known to work."""

    def __init__(self, pipelines: Sequence[PipelineInfo], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        names = [pipeline.name for pipeline in pipelines]
        self._worked_s = dict.fromkeys(names, clock())
        self._failures = dict.fromkeys(names, 0)
        self._answers = dict.fromkeys(names, 0.0)
        self._cpu_s = dict.fromkeys(names, (clock(), 0.0))

    def answered(self, name: str) -> None:
        """It answered us."""
        self._worked_s[name] = self._clock()
        self._failures[name] = 0

    def failed(self, name: str, error: EncserveError) -> str:
        """What is wrong, once it is certain, with a pipeline that answered with an error."""
        self._failures[name] += 1
        return f"{name} fails: {error}" if self._failures[name] >= FAILURES else ""

    def silent(self, name: str, error: EncserveError, answers: float, cpu_s: float) -> str:
        """What is wrong, once it is certain, with a pipeline that did not answer us; others may get their answers."""
        now_s = self._clock()
        if answers > self._answers[name]:
            self._answers[name] = answers
            self._worked_s[name] = now_s
        since_s, before = self._cpu_s[name]
        self._cpu_s[name] = (now_s, cpu_s)
        busy = cpu_s - before > BUSY_SHARE * (now_s - since_s)
        silent_s = now_s - self._worked_s[name]
        if silent_s > (SILENT_THOUGH_BUSY_S if busy else SILENT_S):
            return f"{name} has answered nobody for {silent_s:.1f} s: {error}"
        return ""


def answers_of(server: TritonServer, pipeline: PipelineInfo) -> float:
    """How many requests the pipeline has answered, of Triton's own count; 0 where it does not say."""
    with suppress(OSError), urllib.request.urlopen(server.metrics_url, timeout=1) as page:
        return count_answers(page.read().decode().splitlines(), pipeline.name)
    return 0.0


def count_answers(lines: Iterable[str], name: str) -> float:
    """Sum the successes of a pipeline's last step over its versions."""
    begin, model = "nv_inference_request_success{", f'model="{name}_head"'
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(begin) and model in line)


def state_of(pid: int) -> str:
    """The kernel's letter for what a process does; empty where there is none."""
    fields = _stat(pid)
    return fields[0] if fields else ""


def cpu_s(pids: Iterable[int]) -> float:
    """Seconds of processor time that processes have used, in units of 10 ms."""
    ticks = 0
    for pid in pids:
        if fields := _stat(pid):
            ticks += int(fields[11]) + int(fields[12])
    return ticks / 100


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []
