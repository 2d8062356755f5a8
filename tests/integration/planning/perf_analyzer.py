"""Triton's own load generator, `perf_analyzer`: from the PATH, else out of the wheel that last shipped it."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

import pytest

from encserve import ADMIN_KEY

WHEEL = "tritonclient==2.51.0"
MIN_REQUESTS = 2_000
"""Of a window: their number, that of a Poisson process, is then within 5 % of the asked one."""
ATTEMPTS = 3
UNSTABLE = "Failed to obtain stable measurement"
_LIBRARIES = ("libb64.so.0d", "libcudart.so.12")
"""What the binary wants and the wheel lacks; the wheel of nvidia-pytriton has both, under names with a hash."""


def perf_analyzer() -> tuple[str, dict[str, str]]:
    """The program, and the environment to run it in. Skips the test where it can neither be found nor downloaded."""
    found = shutil.which("perf_analyzer")
    if found:
        return found, dict(os.environ)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "encserve" / WHEEL.replace("==", "-")
    program = cache / "perf_analyzer"
    if not program.is_file():
        _download(program)
    libraries = _wheel_libraries()
    for name in _LIBRARIES:
        stem, _, version = name.partition(".so.")
        (library,) = libraries.glob(f"{stem}-*.so.{version}*")
        (cache / name).unlink(missing_ok=True)
        (cache / name).symlink_to(library)
    return str(program), dict(os.environ) | {"LD_LIBRARY_PATH": f"{cache}:{libraries}"}


def throughput_at(rate_per_s: int, *, url: str, secret: str, model: str, text: str, folder: Path) -> tuple[float, str]:
    """Requests per second that were answered when so many came at random times, and the lines that say so.

    It reads the server's statistics, for which it needs the operator's `secret`.
    A measurement that perf_analyzer itself calls unstable is none: it is repeated, and in the end fails the test.
    """
    program, environment = perf_analyzer()
    texts = folder / "texts.json"
    texts.write_text(json.dumps({"data": [{"text": {"content": [text], "shape": [1]}}]}))
    window_ms = max(10_000, 1_000 * MIN_REQUESTS // rate_per_s)
    command = [program, "-m", model, "-u", url, "-i", "grpc", "-a", f"--request-rate-range={rate_per_s}"]
    command += ["--request-distribution", "poisson", "--input-data", str(texts), "-p", str(window_ms), "-s", "20"]
    command += ["-H", f"triton-grpc-protocol-{ADMIN_KEY}:{secret}"]
    for _ in range(ATTEMPTS):
        done = subprocess.run(command, text=True, capture_output=True, timeout=1_800, env=environment, check=False)
        found = re.search(r"Throughput: ([\d.]+) infer/sec", done.stdout)
        if UNSTABLE in done.stdout + done.stderr:
            continue
        assert found, done.stdout + done.stderr
        return float(found[1]), "\n".join(line for line in done.stdout.splitlines() if "infer/sec" in line)
    pytest.fail(f"perf_analyzer gave no stable measurement in {ATTEMPTS} attempts:\n{done.stdout}{done.stderr}")


def _download(program: Path) -> None:
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, WHEEL]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        if done.returncode:
            pytest.skip(f"perf_analyzer is not on the PATH, and pip cannot get {WHEEL}: {done.stderr.strip()[-200:]}")
        (wheel,) = Path(folder).glob("*.whl")
        with ZipFile(wheel) as archive:
            (member,) = [name for name in archive.namelist() if name.endswith("bin/perf_analyzer")]
            content = archive.read(member)
    program.parent.mkdir(parents=True, exist_ok=True)
    written = program.with_suffix(".new")
    written.write_bytes(content)
    written.chmod(0o755)
    written.replace(program)  # whole, or not there


def _wheel_libraries() -> Path:
    (library,) = [file for file in files("nvidia-pytriton") or () if file.name.startswith("libb64")]
    return Path(library.locate()).resolve().parent
