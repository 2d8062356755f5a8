"""What the manifest calls the machine that something was measured on."""

import pytest

from encserve_export import hardware as module
from encserve_export.hardware import hardware


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """The files in which NVIDIA's driver names its GPUs."""
    monkeypatch.setattr(module, "_GPUS", tmp_path)
    return tmp_path


def test_what_is_measured_on_the_cpu_is_called_by_the_processor(driver):
    (driver / "0000:01:00.0").mkdir()
    (driver / "0000:01:00.0/information").write_text("Model: \t\t NVIDIA L4\nIRQ: \t\t 42\n")
    assert "cores of" in hardware("cpu")
    assert "NVIDIA" not in hardware("cpu")


def test_what_is_measured_on_a_gpu_is_called_by_the_gpu_first(driver):
    (driver / "0000:01:00.0").mkdir()
    (driver / "0000:01:00.0/information").write_text("Model: \t\t NVIDIA L4\nIRQ: \t\t 42\n")
    assert hardware("gpu") == f"NVIDIA L4, with {hardware('cpu')}"


def test_a_gpu_that_the_driver_does_not_name_is_not_called_a_processor(driver):
    assert hardware("gpu") == f"a GPU without a name, with {hardware('cpu')}"
