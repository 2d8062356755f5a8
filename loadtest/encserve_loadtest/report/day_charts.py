"""The charts of a simulated day."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from encserve_loadtest.fleet.scaling import SimulatedDay
from encserve_loadtest.quantities import rounded
from encserve_pages.axis import Axis
from encserve_pages.chart import Chart
from encserve_pages.page import Figure

DAY_POINTS = 600


def day_figures(days: Sequence[SimulatedDay], replica_cost_per_hour: float | None) -> Iterator[Figure]:
    """Replicas, cost and, where there are some, refusals over the day, by what the autoscaler looks at."""
    yield replicas_over_the_day(days)
    yield cost_over_the_day(days, replica_cost_per_hour)
    if any(day.refused_share for day in days):
        yield refused_over_the_day(days)


def replicas_over_the_day(days: Sequence[SimulatedDay]) -> Figure:
    """How large the fleet is, by signal."""
    chart = _over_the_day("replicas that answer", [day.ready for day in days], days)
    caption = "A simulation on the measured curve of one replica, by what an autoscaler looks at; no cluster was asked."
    return Figure("Simulation: replicas over the day", chart, caption)


def refused_over_the_day(days: Sequence[SimulatedDay]) -> Figure:
    """What was refused while replicas were too few, by signal."""
    chart = _over_the_day("requests/s refused", [day.refused_per_s for day in days], days)
    caption = "A simulation: what would have waited longer than the target was refused, as the door of a pipeline does."
    return Figure("Simulation: refusals over the day", chart, caption)


def cost_over_the_day(days: Sequence[SimulatedDay], replica_cost_per_hour: float | None) -> Figure:
    """What was paid by each moment, by signal."""
    price = replica_cost_per_hour or 1.0
    label = "replica-hours" if replica_cost_per_hour is None else "cost so far"
    chart = _over_the_day(label, [day.hours_by * price for day in days], days)
    caption = "A simulation: replicas that answer and those that start."
    if replica_cost_per_hour is not None:
        caption += f" At {rounded(price)} per replica and hour."
    return Figure("Simulation: cost over the day", chart, caption)


def _over_the_day(label: str, values: Sequence[NDArray[np.float64]], days: Sequence[SimulatedDay]) -> Markup:
    hours = days[0].time_s / 3600
    chart = Chart(
        x=Axis(label="hour of the day", low=float(hours[0]), high=float(hours[-1]), marks=_whole_hours(hours)),
        y=Axis.over(label, [float(each.max()) for each in values]),
    )
    step = max(1, len(hours) // DAY_POINTS)
    for number, (each, day) in enumerate(zip(values, days, strict=True)):
        chart.line(
            list(zip(hours[::step].tolist(), each[::step].tolist(), strict=True)), f"series-{number}", day.signal
        )
    return chart.render()


def _whole_hours(hours: NDArray[np.float64]) -> list[float]:
    """Those to mark: every third of a day."""
    apart = max(1, round((hours[-1] - hours[0]) / 8))
    return [float(hour) for hour in range(0, math.ceil(hours[-1]) + 1, apart) if hours[0] <= hour <= hours[-1] + 0.01]
