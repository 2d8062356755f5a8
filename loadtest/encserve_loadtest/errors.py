"""What can go wrong in planning, beyond the errors of the SDK."""

from encserve import EncserveError, InvalidInput


class PlanError(EncserveError):
    """Root of the planner's errors."""


class InvalidPlan(PlanError, InvalidInput):
    """An option, a corpus or an SLO file is malformed. For a file the message names the line."""


class TargetImpossible(PlanError):
    """The latency target does not hold even at the lowest rate; the message says the best that was seen."""


class GeneratorTooSlow(PlanError):
    """The load generator fell behind its own schedule before the server reached its limit."""
