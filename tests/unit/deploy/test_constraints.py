"""`constraints.txt` pins all that CI installs, so that what was audited is what is installed."""

import re
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
NOT_EVERYWHERE = "# Only beside "
"""How the line begins behind which those stand that an environment may lack: of a build of torch without CUDA, say."""
PINNED = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)")


@pytest.fixture(scope="module")
def pinned():
    """Names of the distributions in constraints.txt: of all, and of those that are not everywhere."""
    everywhere, line, elsewhere = (ROOT / "constraints.txt").read_text().partition(NOT_EVERYWHERE)
    assert line
    others = names_in(elsewhere.partition("\n")[2])
    return names_in(everywhere) | others, others


def names_in(text):
    lines = [line for line in text.splitlines() if not line.startswith("#")]
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
    assert sorted(found - pinned[0]) == []


def test_nothing_is_pinned_that_nothing_brings(pinned):
    everything, elsewhere = pinned
    assert sorted(everything - elsewhere - installed_with(roots())) == []
