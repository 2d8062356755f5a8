"""The number of threads that share the work on a micro-batch that has the machine to itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

SETTING = "ENCSERVE_INTRA_OP_THREADS"
"""The environment variable with that number; 1 spares the second copy of the weights."""
MOST_BY_DEFAULT = 8
"""The most threads where the environment says nothing: operators on a few hundred tokens gain nothing from more."""
LARGEST_GRAPH_BY_DEFAULT = 512 * 2**20
"""The bytes of the largest graph of which a second copy is loaded without being asked for, without mapped tables."""


def copied_bytes(folder: Path, settings: Mapping[str, Any]) -> int:
    """Return how many bytes of a version's graph each session copies: all but the tables, which it maps."""
    whole: int = sum((folder / file).stat().st_size for file in settings["graph_sha256"])
    return whole - int(settings.get("mapped_bytes", 0))  # settings that do not say it yet count all


def intra_op_threads(environment: Mapping[str, str], graph_bytes: int, cores: int) -> int:
    """Return the number of threads for a graph of which a session copies `graph_bytes`. Raises ValueError if the
    environment names no such number."""
    if text := environment.get(SETTING):
        if not text.isdecimal() or int(text) < 1:
            raise ValueError(f"{SETTING} is {text!r}, expected a number of threads, 1 or more")
        return int(text)
    return min(cores, MOST_BY_DEFAULT) if graph_bytes <= LARGEST_GRAPH_BY_DEFAULT else 1
