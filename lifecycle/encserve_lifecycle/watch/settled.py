"""Counts that belong together, of steps that tell them one after another.

A step tells its counters once a second, each by a message of its own, and a page that is read in between has some of
before and some of after: all answers, say, and not yet how many of them were quick. And Triton counts a request that
was refused at once, but the step tells of the refusal a second later.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable

from .series import Labels, Series

PAUSE_S = 0.2
"""Between two pages: a step that tells its counters goes on meanwhile."""
FAILURES = "nv_inference_request_failure"


class SettledSeries:
    """Gives the counters of a server, of each step as it last told all of them.

    Args:
        read: gives a page; raises OSError.
        sleep: takes seconds.
    """

    def __init__(self, read: Callable[[], Series], *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._read = read
        self._sleep = sleep
        self._settled: dict[tuple[str, Labels], float] = {}
        self._before: Series | None = None

    def __call__(self) -> Series:
        """Return the counters. Those of a step that is telling them are those of the call before, and the failures that
        Triton counts are of the call before where refusals are known until now. Raises OSError."""
        first = _by_step(self._read())
        self._sleep(PAUSE_S)
        page = self._read()
        doors_are_settled = True
        for step, counters in _by_step(page).items():
            if counters == first.get(step):
                self._settled.update(counters)
            elif step[0].endswith("_tokenize"):
                doors_are_settled = False
        if doors_are_settled:
            self._settled.update(_failures(page if self._before is None else self._before))
            self._before = page
        own = {counter: value for counter, value in page.items() if not _is_told(counter[0]) and counter[0] != FAILURES}
        return {**own, **self._settled}


def _by_step(page: Series) -> dict[tuple[str, str], dict[tuple[str, Labels], float]]:
    """Return the counters that steps tell, by model and version."""
    found: defaultdict[tuple[str, str], dict[tuple[str, Labels], float]] = defaultdict(dict)
    for (name, labels), value in page.items():
        if _is_told(name):
            named = dict(labels)
            found[named["model"], named.get("version", "")][name, labels] = value
    return dict(found)


def _is_told(name: str) -> bool:
    return name.startswith("encserve_")


def _failures(page: Series) -> dict[tuple[str, Labels], float]:
    return {counter: value for counter, value in page.items() if counter[0] == FAILURES}
