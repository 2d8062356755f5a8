"""What the process of a step imports: each pays for it at every start, in time and in memory."""

import subprocess
import sys

import pytest

SCRIPT = """
import importlib, sys, types
sys.modules["triton_python_backend_utils"] = types.ModuleType("triton_python_backend_utils")
import json, struct, numpy  # what Triton's own module brings
before = set(sys.modules)
importlib.import_module("encserve_server.steps." + sys.argv[1])
print(*sorted(set(sys.modules) - before))
"""
FOR_SOME_ALONE = {
    "http": "traces are sent by it, which are off by default",
    "ssl": "traces are sent by it, which are off by default",
    "email": "http and importlib.metadata bring it",
    "importlib.metadata": "the name of a graph needs it, where rows are shared",
    "encserve_server.steps.encode.network.onnxruntime_network": "the runtime of a version is chosen by its settings",
    "encserve_server.steps.encode.network.openvino_network": "the runtime of a version is chosen by its settings",
    "asyncio": "no step has a loop of events",
    "multiprocessing": "no step has children",
    "numpy.testing": "it is for tests",
}
"""Modules that no step imports before it knows that it needs them, and who does."""


@pytest.mark.parametrize("step", ["tokenize", "encode", "head"])
def test_a_step_imports_nothing_for_what_is_not_asked_of_it(step):
    ran = subprocess.run([sys.executable, "-c", SCRIPT, f"{step}_model"], capture_output=True, text=True, check=True)
    imported = set(ran.stdout.split())
    assert f"encserve_server.steps.{step}.step" in imported
    assert {name: why for name, why in FOR_SOME_ALONE.items() if name in imported} == {}
