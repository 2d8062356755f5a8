"""The sums of the last window, as a Prometheus has them that watches the servers."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections import defaultdict
from http.client import HTTPException
from typing import Any

from .counted import SQUARES, SUMS, TEXTS, window_of_sums
from .two_samples import Window

TIMEOUT_S = 30.0


def read_window(url: str, pipeline: str, version: int, directions: int, window_s: float) -> Window | None:
    """Return the sums of a version of a pipeline over the last `window_s` seconds, of all servers that the Prometheus
    at `url` watches; None where it has none.

    Raises:
        OSError: it does not answer as a Prometheus does.
    """
    series = f'{{model="{pipeline}_head", version="{version}"}}[{max(1, round(window_s))}s]'
    sides: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for each in _asked(url, f"sum by (direction, side) (increase({SUMS}{series}))"):
        labels = each["metric"]
        sides[labels.get("side", "")][labels.get("direction", "")] = float(each["value"][1])
    texts, squares = (
        sum(float(each["value"][1]) for each in _asked(url, f"sum(increase({name}{series}))"))
        for name in (TEXTS, SQUARES)
    )
    return window_of_sums(sides, texts, squares, directions)


def _asked(url: str, query: str) -> list[dict[str, Any]]:
    asked = f"{url.rstrip('/')}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    try:
        with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            if not all("metric" in each and len(each["value"]) == 2 for each in result):
                raise ValueError("its answer is no vector")
    except (HTTPException, ValueError, LookupError, TypeError) as error:
        raise OSError(f"it does not answer as a Prometheus does: {error!r}") from error
    return result
