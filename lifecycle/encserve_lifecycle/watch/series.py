"""What a server counts, from its page of metrics, and by how much that has grown."""

from __future__ import annotations

import re
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from http.client import HTTPException
from typing import TypeAlias

TIMEOUT_S = 2.0
_LINE = re.compile(r"(\w+)\{(.*)\} (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = {r"\n": "\n", r"\"": '"', r"\\": "\\"}

Labels: TypeAlias = frozenset[tuple[str, str]]
Series: TypeAlias = Mapping[tuple[str, Labels], float]
"""Name and labels of a counter -> its value."""


def read_series(url: str, models: Iterable[str]) -> Series:
    """Return the counters of some models in the page of metrics at an address.

    Raises:
        OSError: there is no whole page within two seconds.
    """
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as page:
            return parse_series(page.read().decode(), models)
    except (HTTPException, ValueError) as error:  # no address, another protocol, or an end too soon
        raise OSError(f"there is no whole page of metrics: {error}") from error


def parse_series(page: str, models: Iterable[str]) -> Series:
    """Return the counters of some models in a page in Prometheus' text format; lines that cannot be read are no
    counters."""
    wanted = {("model", model) for model in models}
    found: dict[tuple[str, Labels], float] = {}
    for line in page.splitlines():
        if matched := _LINE.fullmatch(line):
            name, labels, value = matched.groups()
            named = frozenset((key, _unescaped(own)) for key, own in _LABEL.findall(labels))
            if named & wanted:
                with suppress(ValueError):
                    found[name, named] = float(value)
    return found


def _unescaped(value: str) -> str:
    return re.sub(r'\\[n"\\]', lambda each: _ESCAPED[each[0]], value)


class Growth:
    """By how much counters have grown since a page, through restarts: a counter that is less than it was began anew.

    Args:
        series: what they were at the beginning.
    """

    def __init__(self, series: Series) -> None:
        self._last = dict(series)
        self._grown: defaultdict[str, dict[Labels, float]] = defaultdict(dict)
        for name, labels in series:
            self._grown[name][labels] = 0.0

    def take(self, series: Series) -> None:
        """Add what has grown since the page before."""
        for (name, labels), value in series.items():
            last = self._last.get((name, labels), 0.0)
            grown = self._grown[name].get(labels, 0.0)
            self._grown[name][labels] = grown + (value - last if value >= last else value)
            self._last[name, labels] = value

    def anew(self) -> Growth:
        """Return the growth since the last page."""
        return Growth(self._last)

    def total(self, name: str, models: Sequence[str], version: int) -> float:
        """Return the growth of all series of a counter of a version of some models."""
        return sum(self.by("version", name, models, version=str(version)).values())

    def by(
        self, label: str, name: str, models: Sequence[str], *, without: tuple[str, str] | None = None, **given: str
    ) -> dict[str, float]:
        """Return the growth of a counter of some models by the values of a label; `given` are others that it must have,
        and `without` one that it must not."""
        found: defaultdict[str, float] = defaultdict(float)
        for labels, grown in self._grown.get(name, {}).items():
            if given.items() <= labels and without not in labels and any(("model", each) in labels for each in models):
                found[dict(labels)[label]] += grown
        return dict(found)
