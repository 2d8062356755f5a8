"""The machine that something was measured on, in words."""

from __future__ import annotations

import os
import platform
from pathlib import Path

_GPUS = Path("/proc/driver/nvidia/gpus")
"""Where NVIDIA's driver tells of each GPU in a file `information`."""


def hardware(measured_on: str) -> str:
    """What computes where something is measured on, "cpu" or "gpu": the cores that this process may use and the
    processor's name, before them that of the first GPU."""
    cores = f"{len(os.sched_getaffinity(0))} cores of {_processor() or platform.machine()}"
    return cores if measured_on == "cpu" else f"{_gpu() or 'a GPU without a name'}, with {cores}"


def _gpu() -> str:
    lines = [line for file in sorted(_GPUS.glob("*/information")) for line in file.read_text("utf-8").splitlines()]
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("Model")]
    return names[0] if names else ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
