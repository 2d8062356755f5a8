"""Letting what a server has accepted be answered before it is told to stop.

A Triton that stops closes all its models: a request that is in one step of an ensemble finds the next one closed. So
the tokenize steps are told first to let nobody in, and Triton only when the steps have nothing left.
"""

import time
from pathlib import Path

from encserve_server.models.load_page import CLOSING, tokens_in
from encserve_server.process import TritonProcess

POLL_S = 0.05
QUIET_POLLS = 4
"""Times in a row that no step must have work: between two steps a request is in no page."""


def drain(process: TritonProcess, folder: Path, timeout_s: float) -> float:
    """Close the door and wait until the steps have answered; returns what is left of `timeout_s`, at least 1 s."""
    deadline_s = time.monotonic() + timeout_s
    (folder / CLOSING).touch()
    quiet = 0
    while process.is_alive and quiet < QUIET_POLLS and time.monotonic() < deadline_s:
        if not any(folder.glob("*.load")):  # steps that do not say what they have
            break
        quiet = 0 if tokens_in(folder) else quiet + 1
        time.sleep(POLL_S)
    return max(1.0, deadline_s - time.monotonic())
