"""How often a server died, as its counters show: they begin anew, and a supervisor counts that it started one again."""

from __future__ import annotations

from .series import Labels, Series

RESTARTS = "encserve_restarts"
_OF_TRITON = "nv_inference_request_success"
_AT_START = 1.0
"""Questions that a start asks of each model: a counter that has had no more may be where it was."""


class Lives:
    """Counts the deaths of a server since a page.

    Where it began anew, whoever started it, all of its own counters have fallen; of a model that was loaded again only
    those of that model have. Where it has answered as much again between two looks not all have, but a supervisor's
    count has grown: by more than one where the first try to start it again failed. Both are of the same deaths, so that
    the larger number holds.

    Args:
        series: what was counted at the beginning.
    """

    def __init__(self, series: Series) -> None:
        self._answered = _answered(series)
        self._restarts = _restarts(series)
        self._falls = self._growths = 0

    @property
    def deaths(self) -> int:
        """How often it died until the last page."""
        return max(self._falls, self._growths)

    def take(self, series: Series) -> None:
        """Look at the next page."""
        answered, restarts = _answered(series), _restarts(series)
        counted = {each: value for each, value in self._answered.items() if value > _AT_START}
        self._falls += bool(counted) and all(answered.get(each, 0.0) < value for each, value in counted.items())
        self._answered = answered
        if restarts is None:  # of a server that has just begun, no step has told it yet
            return
        self._growths += self._restarts is not None and restarts > self._restarts
        self._restarts = max(self._restarts or 0.0, restarts)

    def pass_over(self, series: Series) -> None:
        """Go on from a page before which versions were loaded, whatever counters began anew by that."""
        self._answered = _answered(series)


def _answered(series: Series) -> dict[Labels, float]:
    return {labels: value for (name, labels), value in series.items() if name == _OF_TRITON}


def _restarts(series: Series) -> float | None:
    return max((value for (name, _), value in series.items() if name == RESTARTS), default=None)
