"""How a graph gets a precision, and what that asks of the processor: a value that engines have by precision."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from encserve_server.steps.encode.network.micro_batches import Cost

if TYPE_CHECKING:
    from encserve_export.checkpoint.checkpoint import Checkpoint
    from encserve_export.texts.calibration import Calibration

FP32_COST = Cost(overhead=10, pair=0.44)
"""This and the others as `benchmarks/cost/micro_batch_cost.py` measured them with MiniLM."""


class Making(Protocol):
    """A module that makes graphs of a precision."""

    def transform(self, graph: Path, checkpoint: Checkpoint, calibration: Calibration) -> dict[str, Any]:
        """Rewrite an FP32 graph file in place; returns what the manifest says of how."""


class Imitation(Protocol):
    """A module that can have a CPU round as a GPU does."""

    def as_gpus_round(self, graph: Path) -> AbstractContextManager[Path]:
        """A folder with a copy of `graph` that rounds on a CPU as `graph` does on a GPU, for a while."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One precision on one engine."""

    making: Making | None = None
    """None where the FP32 graph is taken as it is."""
    calibrated: bool = False
    """Whether the making looks at the calibration texts."""
    imitation: Imitation | None = None
    """Where only a GPU rounds as the precision says: what a certificate on a CPU is taken with."""
    hints: Mapping[str, str] = field(default_factory=dict)
    """What the runtime is told when it loads the graph, where a precision is chosen there."""
    needs_cpu: tuple[str, ...] = ()
    """Processor flags, one of which must be there for the precision to be what it says."""
    fast_on_cpu: tuple[str, ...] = ()
    """Processor flags without which it works, but slowly."""
    x64quantprecision: bool = False
    """Whether it is exact on processors without VNNI only because ONNX Runtime is told to be."""
    cost: Cost = FP32_COST
    """Of a micro-batch, for a network of width 1."""

    def micro_batch_cost(self, width: int) -> Cost:
        """For a network of a width: attention grows with it, linear layers with its square."""
        return Cost(overhead=self.cost.overhead, pair=self.cost.pair / width)
