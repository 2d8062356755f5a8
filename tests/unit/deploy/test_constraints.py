"""`constraints.txt` pins all that CI installs, so that what was audited is what is installed."""

import re
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
PINNED = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)")


@pytest.fixture(scope="module")
def pinned():
    """Names of the distributions in constraints.txt."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    unpinned = [line for line in lines if not PINNED.fullmatch(line)]
    assert unpinned == []
    return {canonicalize_name(PINNED.fullmatch(line)["name"]) for line in lines}


def roots():
    """What pyproject.toml asks for, with every extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    return [Requirement(line) for lines in (project["dependencies"], *extras) for line in lines]


def installed_with(requirements):
    """The names of distributions of this environment that requirements bring, directly or not."""
    found, waiting, seen = set(), list(requirements), set()
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            lines = requires(name) or []
        except PackageNotFoundError:  # for another platform
            continue
        found.add(name)
        waiting += [
            each
            for each in map(Requirement, lines)
            if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in ("", *extras))
        ]
    return found


def test_every_distribution_that_ci_installs_is_pinned(pinned):
    found = installed_with(roots())
    assert {"numpy", "torch", "tritonclient"} <= found
    assert sorted(found - pinned) == []


def test_nothing_is_pinned_that_nothing_brings(pinned):
    assert sorted(pinned - installed_with(roots())) == []
