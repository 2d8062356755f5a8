"""Letting what a server has accepted be answered before it is told to stop.

A Triton that stops closes all its models at once: a request that is in one step of an ensemble finds the next one
closed. So the tokenize steps are told first to let nobody in, and the ensembles are unloaded. Triton goes on with the
requests that an unloaded ensemble has begun, through steps of whatever engine, and calls it unloaded when the last of
them has its answer.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from encserve import EncserveError
from encserve_server.administration.channel import Administration
from encserve_server.processes.interruption import interruption
from encserve_server.processes.process import TritonProcess
from encserve_server.steps.instance.load_page import CLOSING, tokens_in

POLL_S = 0.05
LEAST_LEFT_S = 1.0
"""Seconds that Triton has to stop, however long the answers took."""


@dataclass(frozen=True, kw_only=True)
class Drained:
    """The outcome of draining a server."""

    left_s: float
    """Seconds that are left of the time, and at least `LEAST_LEFT_S`."""
    failures: tuple[str, ...]
    """The steps of draining that failed, as sentences; requests may be lost then, or refused otherwise than by the
    door."""


def drain(
    process: TritonProcess, folder: Path, administration: Administration, pipelines: Iterable[str], timeout_s: float
) -> Drained:
    """Close the door and wait until every request that `pipelines` have begun is answered.

    A server that hangs is waited for like one that is busy, until `timeout_s` is over; one that has ended is not.
    Raises KeyboardInterrupt where a further signal asks to wait no longer.
    """
    deadline_s = time.monotonic() + timeout_s
    waiting, failures = set(), []
    try:
        (folder / CLOSING).touch()
    except OSError as error:  # as on a full disk: callers that come now may be told NOT_FOUND
        failures.append(f"the door was not told that the server closes: {error}")

    def is_in_time() -> bool:
        return process.is_alive and time.monotonic() < deadline_s

    # The door tells new callers UNAVAILABLE, and Triton tells them NOT_FOUND of what is unloaded: the door is to tell
    # them for as long as the steps say that they have work. What they do not see is waited for below.
    while is_in_time() and tokens_in(folder):
        _pause()
    for name in pipelines:
        try:
            if is_in_time():
                administration.unload(name, timeout_s=max(LEAST_LEFT_S, deadline_s - time.monotonic()))
                waiting.add(name)
        except EncserveError as error:
            failures.append(f"{name} was not unloaded before the server was stopped: {error}")
    try:
        while waiting and is_in_time() and waiting & administration.unloading(timeout_s=LEAST_LEFT_S):
            _pause()
    except EncserveError as error:
        failures.append(f"nobody knows whether {', '.join(sorted(waiting))} had requests: {error}")
    return Drained(left_s=max(LEAST_LEFT_S, deadline_s - time.monotonic()), failures=tuple(failures))


def _pause() -> None:
    interruption.check()
    time.sleep(POLL_S)
