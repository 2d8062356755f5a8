"""What the vectors of some texts were like: means and covariances along fixed directions, and no text or vector."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from .errors import Damaged

LEAST_TEXTS = 100
"""The least texts that say what texts of a kind are like."""


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """The texts that others are compared with, of one version of a pipeline."""

    pipeline: str
    version: int
    certificate: str
    """The certificate of the version, as SHA-256 in hexadecimal; empty in the file of an export, which that
    certificate has the digest of."""
    source: str
    """The texts, in words."""
    texts: int
    mean: Sequence[float]
    """(K,): of the vectors, scaled to length 1, along the K directions of `encserve_server.steps.head.projection`."""
    covariance: Sequence[Sequence[float]]
    """(K, K)."""

    def to_json(self) -> str:
        """Return the text of a file."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True) + "\n"


def read_baseline(file: Path) -> Baseline:
    """Return the baseline in a file.

    Raises:
        Damaged: it is none.
        OSError: it cannot be read.
    """
    try:
        stated = json.loads(file.read_bytes())
        baseline = Baseline(**{each.name: stated[each.name] for each in fields(Baseline)})
    except (ValueError, TypeError, RecursionError) as error:
        raise Damaged(f"{file} is no baseline: it is no JSON object of one") from error
    except KeyError as error:
        raise Damaged(f"{file} is no baseline: it has no {error}") from error
    if wrong := _wrong(baseline):
        raise Damaged(f"{file} is no baseline: {wrong}")
    return baseline


def _wrong(baseline: Baseline) -> str:
    """Return what is wrong with a baseline out of a file; empty where nothing is."""
    for name in ("pipeline", "certificate", "source"):
        if not isinstance(getattr(baseline, name), str):
            return f"{name} is no text"
    for name in ("version", "texts"):
        if type(getattr(baseline, name)) is not int:
            return f"{name} is no whole number"
    if baseline.texts < LEAST_TEXTS:
        return f"it is of {baseline.texts} texts, and {LEAST_TEXTS} are the least"
    if not _numbers(baseline.mean) or not baseline.mean:
        return "mean is no list of numbers"
    rows: Any = baseline.covariance
    width = len(baseline.mean)
    if not isinstance(rows, list) or len(rows) != width or not all(_numbers(row) and len(row) == width for row in rows):
        return f"covariance has not {width} times {width} numbers"
    return ""


def _numbers(values: Any) -> bool:
    return isinstance(values, list) and all(type(each) is float and math.isfinite(each) for each in values)
