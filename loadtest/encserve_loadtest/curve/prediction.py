"""What a curve said of a rate before it was measured, and what was measured then."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A percentile that the curve predicted before it was measured, at a rate that the curve was not fitted to."""

    rate_per_s: float
    predicted_s: float
    measured_s: float
    inside: bool = True
    """Whether the rate is between those that the curve was fitted to."""

    @property
    def error(self) -> float:
        """(predicted - measured) / measured."""
        return self.predicted_s / self.measured_s - 1
