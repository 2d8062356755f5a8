"""The processes of a server that has started: when each began, what it has cost, and what memory it holds."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import descendants

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Running:
    """One process, at one moment."""

    name: str
    """"launcher", "guard", "tritonserver", or the model whose step it runs, such as "minilm_encode"."""
    began_s: float
    """Seconds after the launcher began; a tick of the kernel's clock, a hundredth of a second, is what it can tell."""
    cpu_s: float
    """Processor time so far, with children that have ended."""
    pss_bytes: int
    """Its own memory, and its part of what it shares: a page that three processes map counts a third. The sum over
    processes is what all of them take."""
    private_bytes: int
    """Memory that no other process maps."""


def processes_of(pid: int) -> list[Running]:
    """A launcher and all that it started, in the order in which they began; those that end meanwhile are left out."""
    begin = _stat(pid)
    if begin is None:
        raise ProcessLookupError(f"process {pid} has ended")
    found = []
    for each in (pid, *descendants(pid)):
        stat = _stat(each)
        if stat is not None:
            pss, private = memory_of(each)
            name = "launcher" if each == pid else name_of(_command(each))
            found.append(Running(name, (stat[0] - begin[0]) / _TICKS_PER_S, stat[1] / _TICKS_PER_S, pss, private))
    return sorted(found, key=lambda each: each.began_s)


def name_of(command: list[str]) -> str:
    """Of a process by its command line: the model of a step, or the program."""
    program = Path(command[0]).name if command else "?"
    if program == "triton_python_backend_stub":
        # .../minilm_encode/1/model.py
        return next((Path(part).parents[1].name for part in command if part.endswith("/model.py")), program)
    return "guard" if any(part.endswith("/processes/guard.py") for part in command) else program


def memory_of(pid: int) -> tuple[int, int]:
    """Bytes of a process: its proportional part of what it maps, and what it alone maps. Zeros if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0, 0
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith(" kB")}
    return sizes["Pss"], sizes["Private_Clean"] + sizes["Private_Dirty"]


def _stat(pid: int) -> tuple[int, int] | None:
    """When a process began and what it has used, in ticks; None if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[19]), sum(map(int, fields[11:15]))


def _command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return []
