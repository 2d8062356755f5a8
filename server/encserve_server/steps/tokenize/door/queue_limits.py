"""How much may wait at the door, by the settings of the step and what an operator says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .admission_queue import QueueLimits

MAX_QUEUED_TEXTS_VARIABLE = "ENCSERVE_MAX_QUEUED_TEXTS"


def queue_limits(settings: Mapping[str, Any]) -> QueueLimits:
    """The limits of the settings; an operator may say how many rows. Raises ValueError if that is no number."""
    limits = dict(settings["queue"])
    if given := os.environ.get(MAX_QUEUED_TEXTS_VARIABLE):
        if not given.isdecimal() or int(given) < 1:
            raise ValueError(f"{MAX_QUEUED_TEXTS_VARIABLE} is {given!r}, expected a number of rows, 1 or more")
        limits["max_queued_texts"] = int(given)
    return QueueLimits(**limits)
