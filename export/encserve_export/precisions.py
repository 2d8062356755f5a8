"""The precisions: how each is made for each engine, and what it asks of the processor. The only table of them.

`limits.py` has what each is held to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from encserve_server.models.cpu_flags import BF16, VNNI, lacks
from encserve_server.models.micro_batches import Cost

from .config import Engine, Precision, Runtime
from .errors import InvalidConfig
from .fused_attention import OPERATOR

if TYPE_CHECKING:
    from .calibration import Calibration
    from .checkpoint import Checkpoint

Transform: TypeAlias = "Callable[[Path, Checkpoint, Calibration], dict[str, Any]]"
"""Rewrites an FP32 graph file in place, and returns what the manifest shall say of how."""


_FP32_COST = Cost(overhead=10, pair=0.44)
"""This and the others as `benchmarks/micro_batch_cost.py` measured them with MiniLM."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """One precision on one engine."""

    precision: Precision
    engine: Engine
    runtime: Runtime | None = None
    """Of the engine `python`."""
    transform: str = ""
    """The module of this package whose `transform` makes the graph; empty where the FP32 graph is taken as it is."""
    calibrated: bool = False
    """Whether `transform` looks at the calibration texts."""
    rounds_on_gpu: bool = False
    """Whether only a GPU rounds as this precision says, so that the certificate needs a graph that imitates it: the
    module has `as_gpus_round`."""
    hints: Mapping[str, str] = field(default_factory=dict)
    """What the runtime is told when it loads the graph, where a precision is chosen there."""
    needs_cpu: tuple[str, ...] = ()
    """Processor flags, one of which must be there for the precision to be what it says."""
    fast_on_cpu: tuple[str, ...] = ()
    """Processor flags without which it works, but slowly."""
    cost: Cost = _FP32_COST
    """Of a micro-batch, for a network of width 1."""
    on_cuda: bool = False
    """Whether it is for a GPU like the one of this host, which its certificate is taken on."""
    fused_attention: bool = False
    """Whether attention is `fused_attention.OPERATOR`, which CUDA alone computes."""

    def micro_batch_cost(self, width: int) -> Cost:
        """For a network of a width: attention grows with it, linear layers with its square."""
        return Cost(overhead=self.cost.overhead, pair=self.cost.pair / width)

    def __str__(self) -> str:
        on = self.engine.value if self.runtime is None else f"{self.engine.value} with {self.runtime.value}"
        attention = f", attention as {OPERATOR}" if self.fused_attention else ""
        return f"{self.precision.value} on {on}{attention}"

    def rewrite(self, graph: Path, checkpoint: Checkpoint, calibration: Calibration) -> dict[str, Any]:
        """Turn the FP32 `graph` into this precision, in place; returns what the manifest says of how."""
        if not self.transform:
            return {}
        transform: Transform = import_module(f".{self.transform}", __package__).transform
        return transform(graph, checkpoint, calibration)

    def as_served(self, graph: Path) -> AbstractContextManager[Path]:
        """A folder with a graph that rounds here as `graph` will where it is served, for a while. Plans and what runs
        on CUDA do so by themselves."""
        if not self.rounds_on_gpu or self.on_cuda or not graph.is_file():
            return nullcontext(graph.parent)
        rounding: AbstractContextManager[Path] = import_module(f".{self.transform}", __package__).as_gpus_round(graph)
        return rounding


PRECISIONS: tuple[Way, ...] = (
    Way(precision=Precision.FP32, engine=Engine.PYTHON, runtime=Runtime.ONNXRUNTIME),
    Way(precision=Precision.FP32, engine=Engine.ONNXRUNTIME),
    Way(precision=Precision.FP16, engine=Engine.ONNXRUNTIME, transform="fp16", calibrated=True, rounds_on_gpu=True),
    Way(precision=Precision.FP32, engine=Engine.TENSORRT),
    Way(precision=Precision.FP16, engine=Engine.TENSORRT, transform="fp16", calibrated=True, rounds_on_gpu=True),
    *(
        Way(precision=Precision.INT8, engine=engine, transform="int8_static", calibrated=True, rounds_on_gpu=True)
        for engine in (Engine.ONNXRUNTIME, Engine.TENSORRT)
    ),
    Way(
        precision=Precision.FP32,
        engine=Engine.PYTHON,
        runtime=Runtime.OPENVINO,
        transform="whole_blocks",
        hints={"INFERENCE_PRECISION_HINT": "f32"},
        cost=Cost(overhead=15, pair=0.31),
    ),
    Way(
        precision=Precision.BF16,
        engine=Engine.PYTHON,
        runtime=Runtime.OPENVINO,
        transform="whole_blocks",
        hints={"INFERENCE_PRECISION_HINT": "bf16"},
        needs_cpu=BF16,
        cost=Cost(overhead=30, pair=0.37),
    ),
    Way(
        precision=Precision.INT8,
        engine=Engine.PYTHON,
        runtime=Runtime.ONNXRUNTIME,
        transform="int8_rows",
        calibrated=True,
        fast_on_cpu=VNNI,
        cost=Cost(overhead=18, pair=1.03),
    ),
)
"""For each precision and engine the preferred runtime first."""

_AUTO = (Precision.BF16, Precision.INT8, Precision.FP32)
"""What `--precision auto` tries on the engine `python`, the most exact of the fast ones first."""


def way_of(precision: Precision, engine: Engine, runtime: Runtime | None, cpu: frozenset[str]) -> Way:
    """How to make `precision` on `engine`, with `runtime` or the preferred one.

    Raises:
        InvalidConfig: there is no such pair, or this processor or installation cannot do it.
    """
    ways = _ways(precision, engine, runtime)
    if not ways:
        asked = engine.value if runtime is None else f"{engine.value} --runtime {runtime.value}"
        offered = "; ".join(str(way) for way in PRECISIONS)
        raise InvalidConfig(f"--precision {precision.value} --engine {asked} is not offered. Offered is {offered}")
    refusals = [_refusal(way, cpu) for way in ways]
    for way, refusal in zip(ways, refusals, strict=True):
        if not refusal:
            return way
    raise InvalidConfig(f"--precision {precision.value}: {'; '.join(refusals)}")


def ways_to_try(engine: Engine, runtime: Runtime | None, cpu: frozenset[str]) -> tuple[list[Way], list[str]]:
    """What `--precision auto` may take, best first, and why others are not among them, in words.

    A slow way is not tried: FP32 is as good and certain. On engines for GPUs nothing is known of the processor that
    will run them, so FP32 is what remains.
    """
    chosen: list[Way] = []
    reasons: list[str] = []
    for precision in _AUTO:
        for way in _ways(precision, engine, runtime):
            if way.rounds_on_gpu:
                continue
            missing = _refusal(way, cpu) or (lacks(cpu, way.fast_on_cpu) and _no_flag(way, way.fast_on_cpu))
            if missing:
                reasons.append(missing)
            else:
                chosen.append(way)
                if way.precision is Precision.FP32:
                    return chosen, reasons
    return chosen, reasons


def on_this_gpu(ways: Sequence[Way]) -> list[Way]:
    """The same for the GPU of this host: each with attention in one operator first, and written out."""
    return [replace(way, on_cuda=True, fused_attention=fused) for way in ways for fused in (True, False)]


def slow_here(way: Way, cpu: frozenset[str]) -> str:
    """Why a way is slow on this processor, in words; empty if it is not."""
    if not lacks(cpu, way.fast_on_cpu):
        return ""
    return f"{_no_flag(way, way.fast_on_cpu)}: it works, and may be slower than fp32"


def _ways(precision: Precision, engine: Engine, runtime: Runtime | None) -> Sequence[Way]:
    return [
        way
        for way in PRECISIONS
        if way.precision is precision and way.engine is engine and runtime in (None, way.runtime)
    ]


def _refusal(way: Way, cpu: frozenset[str]) -> str:
    """Why a way is closed here, in words; empty if it is open."""
    if lacks(cpu, way.needs_cpu):
        return _no_flag(way, way.needs_cpu)
    if way.runtime is Runtime.OPENVINO and find_spec("openvino") is None:
        return f"{way} needs OpenVINO; install with: pip install 'encserve[openvino]'"
    return ""


def _no_flag(way: Way, flags: tuple[str, ...]) -> str:
    return f"{way}: this processor has no {' or '.join(flags)}"
