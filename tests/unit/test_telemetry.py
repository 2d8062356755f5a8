"""What is imported before ONNX Runtime has it tell its maker nothing."""

import subprocess
import sys

import pytest

from encserve_server.steps.encode.network.loading import NO_TELEMETRY

SCRIPT = """
import importlib, os, sys
importlib.import_module(sys.argv[1])
print(os.environ.get(sys.argv[2]), "onnxruntime" in sys.modules)
"""


@pytest.mark.parametrize("package", ["encserve_export", "benchmarks"])
@pytest.mark.parametrize(("before", "after"), [({}, "1"), ({NO_TELEMETRY: "0"}, "0")])
def test_a_package_says_so_when_it_is_imported_unless_somebody_has_said_otherwise(package, before, after):
    environment = {"PYTHONPATH": ":".join(sys.path), **before}
    command = [sys.executable, "-c", SCRIPT, package, NO_TELEMETRY]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert ran.stdout == f"{after} False\n"
