"""What is measured of an export: the memory of all of its processes, and that it ends before the machine has none."""

import sys
import time
from pathlib import Path

import pytest
from benchmarks.large import memory
from benchmarks.large.memory import available_bytes, run

HOLDS = "import subprocess, sys, time; held = bytearray(b'x' * {mib} * 2**20); time.sleep(1.2)"
CHILD = HOLDS.format(mib=60)
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}], check=True)"


def test_what_a_child_of_the_program_holds_counts(monkeypatch):
    monkeypatch.setattr(memory, "PERIOD_S", 0.05)
    assert run([sys.executable, "-c", PARENT], leave_bytes=0).most_bytes > 60 * 2**20


def test_it_is_ended_before_the_machine_has_less_than_is_to_be_left(monkeypatch):
    monkeypatch.setattr(memory, "PERIOD_S", 0.05)
    with pytest.raises(
        SystemExit, match=r"was ended: it held 0\.\d GiB, and the machine had less than 1024\.0 GiB left"
    ):
        run([sys.executable, "-c", "import time; time.sleep(600)"], leave_bytes=2**40)
    assert 0 < available_bytes() < 2**40


def test_nothing_outlives_it_that_its_parent_left_behind_with_the_same_stderr(monkeypatch, tmp_path):
    noted = tmp_path / "pid"
    left = (
        f"import os, pathlib, time; noted = pathlib.Path({str(noted)!r}); noted.write_text(str(os.getpid())); "
        "time.sleep(10); noted.write_text('ended by itself')"
    )
    middle = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {left!r}])"
    outer = f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {middle!r}]); time.sleep(600)"
    monkeypatch.setattr(memory, "PERIOD_S", 0.05)
    monkeypatch.setattr(memory, "available_bytes", lambda: 2 * (not noted.exists() or not noted.read_text()))
    with pytest.raises(SystemExit, match="was ended"):
        run([sys.executable, "-c", outer], leave_bytes=1)
    state = Path(f"/proc/{int(noted.read_text())}/stat")
    for _ in range(100):  # killed at once, but by the kernel's own pace
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.02)
    else:
        pytest.fail("it goes on")


def test_why_a_program_failed_is_said():
    with pytest.raises(SystemExit, match="failed: no such precision"):
        run([sys.executable, "-c", "raise SystemExit('no such precision')"], leave_bytes=0)
