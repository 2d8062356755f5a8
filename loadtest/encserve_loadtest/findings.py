"""All that a plan found, filled in as it goes: an interrupted plan reports what is there."""

from dataclasses import dataclass, field

from encserve_loadtest.config import PlanConfig
from encserve_loadtest.curve.prediction import Prediction
from encserve_loadtest.curve.queueing import LatencyCurve
from encserve_loadtest.estimate.capacity import Capacity
from encserve_loadtest.estimate.experiment import Experiment
from encserve_loadtest.estimate.noise import Noise
from encserve_loadtest.fleet.day import Day
from encserve_loadtest.fleet.repeats import Repeats
from encserve_loadtest.fleet.scaling import SimulatedDay
from encserve_loadtest.fleet.sizing import Cost, Sizing
from encserve_loadtest.fleet.waiting import WaitCurve
from encserve_loadtest.measurement.bottleneck import Bottleneck
from encserve_loadtest.measurement.served import SHARED, ServedStep
from encserve_loadtest.measurement.window import Window, repeated_share
from encserve_loadtest.traffic.trace import Trace
from encserve_loadtest.traffic.workload import Workload
from encserve_loadtest.tune.trials import Tuning


@dataclass(kw_only=True)
class Findings:
    """The plan so far. What is None or empty was not reached."""

    config: PlanConfig
    workload: Workload | None = None
    steps: tuple[ServedStep, ...] = ()
    windows: list[Window] = field(default_factory=list)
    """Every window that was measured, in order."""
    experiment: Experiment | None = None
    """The runs that the capacity comes from."""
    noise: Noise | None = None
    """How unquiet this machine was during the search."""
    capacity: Capacity | None = None
    curve: LatencyCurve | None = None
    fitted_per_s: tuple[float, ...] = ()
    """The rates that the curve was fitted to."""
    predictions: list[Prediction] = field(default_factory=list)
    shaped: Window | None = None
    """The run along the shape that was asked for."""
    bottleneck: Bottleneck | None = None
    waiting: WaitCurve | None = None
    """The mean wait by rate."""
    added_at_s: float | None = None
    """Seconds of work waiting at which a replica is to be added."""
    day: Day | None = None
    """The day of the simulation that was asked for."""
    simulated: list[SimulatedDay] = field(default_factory=list)
    """A fleet over that day, by one signal after another."""
    trace: Trace | None = None
    """Which texts came, where that was given."""
    repeats: Repeats | None = None
    """How many of them are repeats."""
    sizing: Sizing | None = None
    cost: Cost | None = None
    tuning: Tuning | None = None
    problem: str = ""
    """Why the plan has no capacity or is not complete; empty when it is."""
    elapsed_s: float = 0.0

    @property
    def repeated_share(self) -> float:
        """Share of the texts of all windows that the server did not compute, since it remembered them."""
        return repeated_share(self.windows)

    @property
    def large_share(self) -> float:
        """Share of the time that the steps of a cascade's pipelines computed which the large one had, in all windows; 0
        where no step of it was seen, or where both share a step."""
        busy_s = {"small": 0.0, "large": 0.0}
        for window in self.windows:
            for name, step in window.steps.items():
                role = name.partition(" ")[0]
                if role == SHARED:
                    return 0.0
                if role in busy_s:
                    busy_s[role] += step.compute_s * step.batches
        total_s = sum(busy_s.values())
        return busy_s["large"] / total_s if total_s else 0.0

    @property
    def tokens_per_request(self) -> float:
        """Mean tokens of a request, as the server counted them in all windows; 0 where none was answered."""
        answered = [window for window in self.windows if window.tokens_per_request > 0]
        requests = [len(window.run.tokens) for window in answered]
        total = sum(window.tokens_per_request * count for window, count in zip(answered, requests, strict=True))
        return total / sum(requests) if requests else 0.0
