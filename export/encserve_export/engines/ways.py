"""Which engine makes which precision: what was asked for, or what `--precision auto` finds best here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from encserve_export.config import ExportConfig, Precision, Runtime
from encserve_export.errors import ExportError, InvalidConfig, WayFailed
from encserve_export.precision.recipe import Recipe
from encserve_server.steps.encode.host.cpu_flags import lacks

from . import table
from .engine import EncodeEngine, EncodeStep, Say
from .served_encoder import ServedEncoder
from .table import check_asked, engines_like

_AUTO = (Precision.FP32, Precision.BF16, Precision.INT8)
"""What `--precision auto` tries, the most exact first."""
_WORTH_IT = 1.05
"""How much faster than a more exact way one must be to be taken before it."""


@dataclass(frozen=True)
class Way:
    """One precision on one engine."""

    precision: Precision
    engine: EncodeEngine

    @property
    def recipe(self) -> Recipe:
        """How the graph gets the precision."""
        return self.engine.precisions[self.precision]

    @contextmanager
    def open(self, step: EncodeStep) -> Iterator[ServedEncoder]:
        """What stands in the folder of the step, as it will be served. Raises WayFailed: its runtime does not load."""
        with ExitStack() as opened:
            try:
                encoder = opened.enter_context(self.engine.open(step))
            except ExportError:
                raise
            except Exception as error:  # runtimes raise what they like
                raise WayFailed(f"{self} does not load here: {error}") from error
            yield encoder

    def __str__(self) -> str:
        return f"{self.precision.value} on {self.engine.title}"


def ways_for(config: ExportConfig, cpu: frozenset[str], say: Say) -> list[Way]:
    """What may be made on a processor with the flags `cpu`, the most exact first; what is said is why not more.

    Raises:
        InvalidConfig: there is no such pair, or this processor or installation cannot do it.
        UnsupportedHost: this host cannot make what the engine serves.
    """
    check_asked(config)
    if config.precision is None or chooses(config):
        ways, reasons = ways_to_try(config, cpu)
        if not ways:
            raise InvalidConfig("; ".join(reasons) or "there is nothing to choose from")
        for reason in reasons:
            say(f"auto passes over {reason}")
    else:
        ways = [way := way_of(config.precision, config, cpu)]
        if config.calibration and not way.engine.looks_at_texts(way.precision):
            say(
                f"warning: --calibration {config.calibration}: {way} looks at no texts when it is made; the third that "
                "is held out is asked for the certificate"
            )
    return [Way(way.precision, engine) for way in ways for engine in way.engine.on_this_host(say)]


def way_of(precision: Precision, config: ExportConfig, cpu: frozenset[str]) -> Way:
    """How to make `precision` with the engine that is asked for.

    Raises:
        InvalidConfig: there is no such pair, or this processor or installation cannot do it.
    """
    ways = _ways(precision, config)
    if not ways:
        asked = [f"--engine {config.engine}"]
        asked += [f"--runtime {config.runtime.value}"] if config.runtime else []
        asked += [f"--device {config.device.value}"] if config.device else []
        offered = "; ".join(str(Way(precision, engine)) for engine in table.ENGINES for precision in engine.precisions)
        raise InvalidConfig(f"--precision {precision.value} {' '.join(asked)} is not offered. Offered is {offered}")
    refusals = [_refusal(way, cpu) for way in ways]
    for way, refusal in zip(ways, refusals, strict=True):
        if not refusal:
            return way
    raise InvalidConfig(f"--precision {precision.value}: {'; '.join(refusals)}")


def chooses(config: ExportConfig) -> bool:
    """Whether it is left to measurement which way is taken."""
    return config.precision is None or config.compare_runtimes


def ways_to_try(config: ExportConfig, cpu: frozenset[str]) -> tuple[list[Way], list[str]]:
    """What `--precision auto` or `--runtime auto` may take, the most exact first, and in words why it may no other.

    Where only a GPU rounds as a precision says nothing is known here of its speed, so on engines for GPUs FP32 is what
    remains.
    """
    by_runtime: dict[tuple[Precision, Runtime | None], Way] = {}  # of several devices the first
    for precision in _AUTO if config.precision is None else (config.precision,):
        for way in _ways(precision, config):
            if way.engine.tried_by_auto(way.precision):
                by_runtime.setdefault((precision, way.engine.runtime), way)
    ways = list(by_runtime.values())
    refusals = [_refusal(way, cpu) for way in ways]
    open_ = [way for way, refusal in zip(ways, refusals, strict=True) if not refusal]
    return open_, [refusal for refusal in refusals if refusal]


def by_speed(ways: Sequence[Way], ratios: Mapping[str, float]) -> list[Way]:
    """`ways`, the most exact first, in the order in which they are to be tried: by their speed as in `ratios`, but a
    more exact one before those that are less than `_WORTH_IT` times as fast. What was not measured comes as it came."""
    if any(str(way) not in ratios for way in ways):
        return list(ways)
    left, ordered = list(ways), []
    while left:
        fastest = max(ratios[str(way)] for way in left)
        ordered.append(next(way for way in left if ratios[str(way)] * _WORTH_IT > fastest))
        left.remove(ordered[-1])
    return ordered


def speed_in_words(ways: Sequence[Way], ratios: Mapping[str, float], *, chosen_here: bool) -> list[str]:
    """What the user should know of the speed of `ways`, in the order in which they are tried."""
    against, first = next(iter(ratios)), ways[0]
    if chosen_here:
        others = ", ".join(f"{way} {ratios[str(way)]:.2f}" for way in ways[1:])
        return [
            f"auto takes {first}: {ratios[str(first)]:.2f} times as fast as {against} here"
            + (f" ({others})" if others else "")
        ]
    if str(first) != against and ratios[str(first)] < 1:
        return [f"warning: {first} is {ratios[str(first)]:.2f} times as fast as {against} on this host"]
    return []


def _ways(precision: Precision, config: ExportConfig) -> Sequence[Way]:
    engines = engines_like(config.engine, config.runtime, config.device)
    return [Way(precision, engine) for engine in engines if precision in engine.precisions]


def _refusal(way: Way, cpu: frozenset[str]) -> str:
    """Why a way is closed here, in words; empty if it is open."""
    return _no_flag(way, cpu, way.recipe.needs_cpu) or way.engine.unavailable()


def _no_flag(way: Way, cpu: frozenset[str], flags: tuple[str, ...]) -> str:
    lacking = lacks(cpu, flags)
    return f"{way}: this processor has no {lacking}" if lacking else ""
