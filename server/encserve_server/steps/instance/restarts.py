"""How often the server was started again: its supervision knows, and a server that has just begun tells it for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .settings import instance_of

if TYPE_CHECKING:  # the launcher, which sets the variable, is no process of Triton's
    from .metrics import Metrics

RESTARTS_VARIABLE = "ENCSERVE_RESTARTS"
"""The environment variable of the server with the number, which its supervisor sets."""


def show_restarts(metrics: Metrics, args: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> None:
    """Show the number as a counter, which is 0 where nobody supervises the server.

    Args:
        metrics: of the instance.
        args: what Triton gives to `initialize`. Instances share the counter, and the first brings it up to the number.
        environment: of the server.

    Raises:
        ValueError: what the environment says is no number.
    """
    given = environment.get(RESTARTS_VARIABLE) or "0"
    if not given.isdecimal():
        raise ValueError(f"{RESTARTS_VARIABLE} is {given!r}, expected a number")
    counter = metrics.counter("encserve_restarts", "Times that supervision has started the server again")
    counter.expect()
    if instance_of(args) == 0:
        counter.raise_to(int(given))
