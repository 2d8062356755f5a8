"""What the heap of an encode step's process gives back, and what it keeps."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from encserve_server.steps.encode.host import heap

SCRIPT = """
import json, resource
from pathlib import Path
import numpy as np
from encserve_server.steps.encode.host.heap import settle_heap

def private():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))

def ask(count, each):
    return [np.ones(each, np.uint8) for _ in range(count)]

def pages_of(mib):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    ask(mib, 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

left = ask(1_000, 100_000)
del left[:-1]  # what is still used at its end keeps the heap from being trimmed
before = private()
settle_heap()
told = {"given_back": before - private()}
left.clear()
pages_of(24)
told["pages"] = pages_of(24)
before = private()
pages_of(200)
told["kept"] = private() - before
print(json.dumps(told))
"""
MIB = 2**20


def test_what_was_left_goes_back_and_what_a_micro_batch_takes_stays():
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, env=plain())
    told = json.loads(ran.stdout)
    assert told["given_back"] > 64 * MIB
    assert told["pages"] < 24 * MIB / 4096 / 10
    assert told["kept"] < heap.KEPT_BYTES


def plain():
    """An environment in which nobody has told the C library anything."""
    return {"PYTHONPATH": ":".join(sys.path)}


@pytest.mark.parametrize("variable", ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"])
def test_an_operator_who_has_said_otherwise_is_not_overruled(variable, monkeypatch):
    opened = []
    monkeypatch.setattr(heap.ctypes, "CDLL", opened.append)
    heap.settle_heap({variable: "1"})
    assert opened == []


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda name: SimpleNamespace())
    heap.settle_heap({})
