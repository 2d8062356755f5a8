"""Where the benchmarks keep what is made once: environments of peers, exported models, programs."""

from __future__ import annotations

import os
from pathlib import Path

CACHE = Path(os.environ.get("ENCSERVE_BENCH") or Path.home() / ".cache" / "encserve-bench")
ENVIRONMENTS = CACHE / "environments"
OTHER_CHECKPOINT = os.environ.get("ENCSERVE_BENCH_CHECKPOINT", "")
"""The folder of a checkpoint to measure in place of all-MiniLM-L6-v2; its name names its forms."""
MODELS = CACHE / "models" / Path(OTHER_CHECKPOINT).name
"""The forms of the checkpoint that the systems take."""
REPOSITORY_ROOT = Path(__file__).parents[1]


def interpreter(environment: str) -> Path:
    """The Python of a peer's environment.

    Raises:
        SystemExit: the environment is not there; says why, or how to make it.
    """
    python = ENVIRONMENTS / environment / "bin" / "python"
    if (ENVIRONMENTS / environment / "installed.txt").exists():
        return python
    failed = ENVIRONMENTS / f"{environment}.failed"
    if failed.exists():
        raise SystemExit(f"it could not be installed here: {failed.read_text().strip().splitlines()[-1][:300]}")
    raise SystemExit(f"it is not installed: benchmarks/environments/make.sh {environment} makes its environment")


def installed_versions(environment: str, *packages: str) -> dict[str, str]:
    """Package -> its version in a peer's environment, of those that it has."""
    lines = (ENVIRONMENTS / environment / "installed.txt").read_text().splitlines()
    found = dict(line.split("==", 1) for line in lines if "==" in line)
    known = {name.lower().replace("_", "-"): number for name, number in found.items()}
    return {name: known[name] for name in packages if name in known}
