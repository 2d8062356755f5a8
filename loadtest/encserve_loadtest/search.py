"""The search for the highest rate at which the target holds: bracket, then bisect, with repeated windows."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from encserve_loadtest.bottleneck import CLIENT_CPU_LIMIT
from encserve_loadtest.errors import GeneratorTooSlow, TargetImpossible
from encserve_loadtest.quantities import milliseconds, rounded
from encserve_loadtest.window import Window

Measure: TypeAlias = Callable[[float], Awaitable[Window]]
"""Measure one window at a rate in requests per second."""

STEP_UP = 1.35
STEP_DOWN = 1.6
RESOLUTION = 1.06
"""The search ends when the lowest rate that missed is at most so many times the highest that held."""

FLOOR_SHARE = 0.02
"""Below this share of the first rate the target counts as impossible."""

DECISIVE = 3.0
"""A window whose p99 is more than so many times the target, or whose queue grows, decides alone that a rate misses.

If that is so even from when the requests were really sent, it does not matter that the generator was late as well, as
it may be on a host that it shares with an overloaded server; unless it computed all the time, and so was late to take
in the answers, too."""

MAX_RATES = 12
MAX_INVALID = 3


async def find_capacity(measure: Measure, *, first_per_s: float, max_rates: int = MAX_RATES) -> tuple[float, float]:
    """Return the highest rate that held and the lowest that missed, in requests per second.

    A rate that missed is measured once more in the end, since something else may have slowed the host then: if it holds
    now, the search goes on above it.

    Args:
        measure: measures one window.
        first_per_s: where to begin.
        max_rates: after so many rates the search ends, however far apart the two are.

    Raises:
        TargetImpossible: the target missed at every rate.
        GeneratorTooSlow: the generator fell behind before the target missed.
    """
    held, misses = 0.0, {float("inf")}
    windows: list[Window] = []
    rate, confirming = first_per_s, False
    for _ in range(max_rates):
        windows += (latest := await measure_repeatedly(measure, rate, held_per_s=held))
        if holds(latest):
            held = max(held, rate)
            misses = {each for each in misses if each > held}
        elif confirming:
            break
        else:
            misses.add(rate)
        if not held and rate / STEP_DOWN < FLOOR_SHARE * first_per_s:
            raise _impossible(windows)
        confirming = held > 0 and min(misses) / held <= RESOLUTION
        rate = min(misses) if confirming else _next(held, min(misses))
    return held, min(misses)


def _next(held: float, missed: float) -> float:
    if missed == float("inf"):
        return held * STEP_UP
    if held == 0:
        return missed / STEP_DOWN
    return float((held * missed) ** 0.5)


async def measure_repeatedly(measure: Measure, rate_per_s: float, *, held_per_s: float = 0.0) -> list[Window]:
    """Measure a rate until two windows agree: two or three, or one that misses by far.

    Args:
        measure: measures one window.
        rate_per_s: the rate.
        held_per_s: the highest rate that held before, for the message.

    Raises:
        GeneratorTooSlow: three windows were invalid.
    """
    windows: list[Window] = []
    late: list[Window] = []
    while True:
        window = await measure(rate_per_s)
        limit_s = DECISIVE * window.target_p99_s
        by_itself = window.p99_since_sent_s <= limit_s or window.client_cpu_share > CLIENT_CPU_LIMIT
        if not window.is_valid and by_itself:
            late.append(window)
            if len(late) == MAX_INVALID:
                raise _too_slow(late, held_per_s)
            continue
        windows.append(window)
        if not window.is_stable or window.p99_s > limit_s:
            return windows
        verdicts = [each.holds for each in windows]
        if max(verdicts.count(True), verdicts.count(False)) == 2:
            return windows


def holds(windows: Sequence[Window]) -> bool:
    """Whether the target held in most of the windows of a rate."""
    verdicts = [window.holds for window in windows]
    return verdicts.count(True) > verdicts.count(False)


def _impossible(windows: Sequence[Window]) -> TargetImpossible:
    best = min(windows, key=lambda window: window.p99_s)
    return TargetImpossible(
        f"no rate keeps the 99th percentile under {milliseconds(best.target_p99_s)}: the best was "
        f"{milliseconds(best.p99_s)} at {rounded(best.offered_per_s)} requests/s"
    )


def _too_slow(late: Sequence[Window], held_per_s: float) -> GeneratorTooSlow:
    worst = max(late, key=lambda window: window.lateness_p99_s)
    held = f"; the server held {rounded(held_per_s)} requests/s before" if held_per_s else ""
    return GeneratorTooSlow(
        f"the generator fell behind its own schedule at {rounded(worst.offered_per_s)} requests/s: 1 % of the requests "
        f"were sent more than {milliseconds(worst.lateness_p99_s)} late{held}. This is no limit of the server: give "
        "the generator a core of its own, or another host"
    )
