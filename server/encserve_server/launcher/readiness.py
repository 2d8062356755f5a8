"""Waiting until every pipeline answers a real request.

Triton's readiness endpoints are not asked: on 2.51 they go on saying "ready" for a model whose process has died.
"""

import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeAlias

from encserve import PipelineInfo, TransportError
from encserve_server.errors import StartFailed
from encserve_server.processes.interruption import interruption
from encserve_server.processes.process import TritonProcess
from encserve_server.processes.steps import StepProcesses, in_words

POLL_S = 0.05
FIRST_REPORT_S = 2.0
TOLD_S = 2.0
"""Seconds that Triton has, where the process of a step has died, to end and say why, as where it could not be loaded.
Of one that dies after that Triton says nothing, and goes on."""
SEE_S = 0.5
"""Seconds between two looks which processes there are: each asks all threads of Triton for theirs."""

Probe: TypeAlias = Callable[[PipelineInfo], None]
"""A function that asks a pipeline one question. Raises TransportError where it may be asked again."""


class Startup:
    """The start of a server, from when this is made.

    Its methods raise `StartFailed` where Triton ends, the process of a step dies, or `timeout_s` is over.

    Args:
        process: the server.
        timeout_s: seconds for all of the start.
        report: takes what is waited for, line by line, at growing intervals.
    """

    def __init__(self, process: TritonProcess, *, timeout_s: float, report: Callable[[str], None]) -> None:
        self._process = process
        self._timeout_s = timeout_s
        self._report = report
        self._steps = StepProcesses(process.stub_pids)
        self._started_s = time.monotonic()
        self._see_again_s = self._started_s
        self._next_report_s = FIRST_REPORT_S

    def wait_for_port(self, address: tuple[str, int]) -> None:
        """Return once the server takes connections at its gRPC `address`: Triton opens its ports once all models are
        loaded."""
        while not _accepts(address):
            self._pause("starting Triton")

    def wait_for_answers(self, pipelines: Sequence[PipelineInfo], *, probe: Probe) -> None:
        """Return once every pipeline has answered."""
        questions = ThreadPoolExecutor(1, thread_name_prefix="first-question")
        try:
            for pipeline in pipelines:
                while not self._answers(pipeline, probe, questions):
                    self._pause(f"waiting for {pipeline.name}")
        finally:  # a dead step may owe an answer, which comes when the server has ended
            questions.shutdown(wait=False)

    def _answers(self, pipeline: PipelineInfo, probe: Probe, questions: ThreadPoolExecutor) -> bool:
        """Return whether a pipeline has answered; where it has not it may be asked again."""
        question = questions.submit(probe, pipeline)
        while not wait([question], POLL_S).done:
            interruption.check()
            self._check_alive()
        try:
            question.result()
        except TransportError:
            return False
        return True

    def _check_alive(self) -> None:
        if not self._process.is_alive:
            raise StartFailed(self._process.describe_end())
        if (now_s := time.monotonic()) >= self._see_again_s:
            self._steps.see()
            self._see_again_s = now_s + SEE_S
        if not (self._steps.have_ended() and self._steps.died()):
            return
        self._process.wait(TOLD_S)
        if not self._process.is_alive:
            raise StartFailed(self._process.describe_end())
        if died := self._steps.died():  # Triton waits late for one that it ends itself
            raise StartFailed(
                f"{in_words(died)} while the server started. Triton's last lines:\n{self._process.log.reason()}"
            )

    def _pause(self, activity: str) -> None:
        interruption.check()
        waited_s = time.monotonic() - self._started_s
        self._check_alive()
        if waited_s > self._timeout_s:
            raise StartFailed(
                f"{activity} took more than --startup-timeout-s {self._timeout_s:g}. Triton's last lines:\n"
                f"{self._process.log.reason()}"
            )
        if waited_s >= self._next_report_s:
            self._report(f"{activity} ... {waited_s:.0f} s")
            self._next_report_s *= 2
        time.sleep(POLL_S)


def _accepts(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=1).close()
    except OSError:
        return False
    return True
