"""Which system is measured with which workload, in which mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

IN_HAND = "1x1024"
"""The mode in which a system that runs in process has all texts at once."""
LOADED = ("32x1", "4x32")
"""What servers are for, and so the modes of every one of them."""


@dataclass(frozen=True)
class Process:
    """How the worker of one system or several is started."""

    module: str
    """In benchmarks/systems, with dots for its rooms."""
    arguments: tuple[str, ...] = ()
    """A word in braces stands for something that is made first: see `benchmarks.peers.places`."""
    environment: str = ""
    """Of benchmarks/environments; empty for this one, whose workers may still start servers in others."""


@dataclass(frozen=True)
class System:
    """One line of the results."""

    name: str
    process: str
    variant: str
    precision: str
    where: str
    """"server", or "in process"."""
    note: str
    """What it does, for readers of the page."""
    modes: tuple[str, ...] = LOADED
    """Those in which a run measures it with the first workload."""
    everywhere: str = ""
    """The mode in which a run measures it with the other workloads, too; empty: not at all."""
    peer: str = ""
    """Whose it is; empty for encserve and for what bounds it."""
    roofline: bool = False
    """Whether it does nothing but products of matrices: the best of these in a precision is its roofline."""

    @property
    def bounds(self) -> bool:
        """Whether it can have all texts in hand, in FP32 and without a server: the best of these is the in-process
        bound."""
        return self.where == "in process" and self.precision == "fp32" and not self.roofline


@dataclass(frozen=True)
class Cell:
    """One measurement of a round."""

    system: str
    workload: str
    mode: str


def cells(systems: Sequence[System], workloads: Sequence[str], modes: Sequence[str]) -> list[Cell]:
    """In turn: all systems with one workload and mode, then with the next.

    The first workload is measured in every mode that a system has, the others in the one in which it is measured
    `everywhere`.
    """
    first, *others = workloads
    plan = [Cell(each.name, first, mode) for mode in modes for each in systems if mode in each.modes]
    return plan + [
        Cell(each.name, workload, each.everywhere)
        for workload in others
        for each in systems
        if each.everywhere in modes
    ]


def processes_of(systems: Mapping[str, System], process: str) -> list[str]:
    """The systems that a process stands for."""
    return [name for name, system in systems.items() if system.process == process]
