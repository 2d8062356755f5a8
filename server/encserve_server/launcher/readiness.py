"""Waiting until every pipeline answers a real request.

Triton's readiness endpoints are not asked: on 2.51 they go on saying "ready" for a model whose process has died.
"""

import socket
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from encserve import PipelineInfo, TransportError
from encserve_server.errors import StartFailed
from encserve_server.processes.interruption import interruption
from encserve_server.processes.process import TritonProcess

POLL_S = 0.05
FIRST_REPORT_S = 2.0

Probe: TypeAlias = Callable[[PipelineInfo], None]
"""A function that asks a pipeline one question. Raises TransportError where it may be asked again."""


def wait_until_ready(
    process: TritonProcess,
    pipelines: Sequence[PipelineInfo],
    *,
    address: tuple[str, int],
    timeout_s: float,
    probe: Probe,
    report: Callable[[str], None],
) -> None:
    """Return once every pipeline has answered at the gRPC `address`.

    Raises:
        StartFailed: Triton ended, or `timeout_s` passed.
    """
    waiting = _Waiting(process, timeout_s=timeout_s, report=report)
    while not _accepts(address):  # Triton opens its ports once all models are loaded
        waiting.pause("starting Triton")
    for pipeline in pipelines:
        while True:
            try:
                probe(pipeline)
                break
            except TransportError:
                waiting.pause(f"waiting for {pipeline.name}")


class _Waiting:
    def __init__(self, process: TritonProcess, *, timeout_s: float, report: Callable[[str], None]) -> None:
        self._process = process
        self._timeout_s = timeout_s
        self._report = report
        self._started_s = time.monotonic()
        self._next_report_s = FIRST_REPORT_S

    def pause(self, activity: str) -> None:
        interruption.check()
        waited_s = time.monotonic() - self._started_s
        if not self._process.is_alive:
            raise StartFailed(self._process.describe_end())
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
