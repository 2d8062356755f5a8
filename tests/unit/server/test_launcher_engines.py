"""Pipelines that this host cannot run are refused before Triton starts."""

import json
from pathlib import Path

import pytest

from encserve.testing import fake_pipeline
from encserve_server import engines, gpu
from encserve_server.engines import Engines, check_engine, check_engines, read_engines
from encserve_server.errors import UnsupportedHost
from encserve_server.locate import Installation, Wheel

IMAGE = Engines(
    backends=frozenset({"python", "onnxruntime", "tensorrt"}),
    has_gpu=True,
    gpu_architecture="sm_90",
    tensorrt_version="10.13.3.9",
)
LAPTOP = Engines(backends=frozenset({"python"}), has_gpu=False, gpu_architecture=None, tensorrt_version=None)
PLAN = {"tensorrt_version": "10.13.3.9", "gpu_architecture": "sm_90"}


@pytest.mark.parametrize(
    ("engine", "manifest", "here"),
    [
        ("python", {}, LAPTOP),
        ("python", {}, IMAGE),
        ("onnxruntime", {}, IMAGE),
        ("onnxruntime", {"device": "gpu"}, IMAGE),
        ("tensorrt", {"plan": PLAN}, IMAGE),
        ("tensorrt", {"plan": PLAN | {"tensorrt_version": "10.13.3"}}, IMAGE),
        ("tensorrt", {"plan": PLAN}, Engines(**{**vars(IMAGE), "tensorrt_version": None, "gpu_architecture": None})),
        ("onnxruntime", {}, Engines(**{**vars(LAPTOP), "backends": None})),
    ],
)
def test_what_can_run_is_let_through(engine, manifest, here):
    check_engine(fake_pipeline(engine=engine), manifest, here)


@pytest.mark.parametrize(
    ("engine", "manifest", "here", "message"),
    [
        (
            "onnxruntime",
            {},
            LAPTOP,
            "needs Triton's backend 'onnxruntime', and this Triton has python: serve it out of",
        ),
        ("tensorrt", {}, LAPTOP, "needs Triton's backend 'tensorrt'"),
        (
            "onnxruntime",
            {"device": "gpu"},
            {"has_gpu": False},
            "exported for a GPU, and this host has no NVIDIA driver",
        ),
        ("tensorrt", {"plan": PLAN}, {"has_gpu": False}, "exported for a GPU, and this host has no NVIDIA driver"),
        (
            "tensorrt",
            {"plan": PLAN},
            {"gpu_architecture": "sm_86"},
            "built for GPU architecture sm_90, and here it is sm_86",
        ),
        (
            "tensorrt",
            {"plan": PLAN},
            {"tensorrt_version": "11.4.0"},
            r"built for TensorRT 10\.13\.3\.9, and here it is 11",
        ),
        ("tensorrt", {"plan": PLAN}, {"tensorrt_version": "10.13.4.1"}, "a plan runs nowhere else: export"),
    ],
)
def test_what_cannot_run_is_refused_in_words(engine, manifest, here, message):
    found = here if isinstance(here, Engines) else Engines(**{**vars(IMAGE), **here})
    with pytest.raises(UnsupportedHost, match=message):
        check_engine(fake_pipeline(engine=engine), manifest, found)


def test_the_wheel_has_the_backends_of_its_folder(tmp_path, monkeypatch):
    (tmp_path / "python").mkdir()
    monkeypatch.setattr(engines, "has_nvidia_driver", lambda: False)
    monkeypatch.delenv("TRT_VERSION", raising=False)
    wheel = Wheel(backend_folder=tmp_path, cache_folder=tmp_path, stub_folder=tmp_path, libs_folder=tmp_path)
    assert read_engines(Installation(executable=Path("/wheel/bin/tritonserver"), wheel=wheel)) == LAPTOP


def test_an_image_has_the_backends_beside_its_binary_and_says_its_tensorrt(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    for name in ("python", "onnxruntime", "tensorrt"):
        (tmp_path / "backends" / name).mkdir(parents=True)
    monkeypatch.setattr(engines, "has_nvidia_driver", lambda: True)
    monkeypatch.setattr(engines, "gpu_architecture", lambda: "sm_90")
    monkeypatch.setenv("TRT_VERSION", "10.13.3.9+cuda13.0")
    assert read_engines(Installation(executable=tmp_path / "bin/tritonserver", wheel=None)) == IMAGE


def test_the_first_that_cannot_run_is_named(tmp_path):
    pipelines = (fake_pipeline(), fake_pipeline(name="fast", engine="onnxruntime"))
    for pipeline in pipelines:
        folder = tmp_path / pipeline.name / pipeline.version
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps({"device": None}))
    check_engines(tmp_path, pipelines, IMAGE)
    with pytest.raises(UnsupportedHost, match="pipeline fast needs"):
        check_engines(tmp_path, pipelines, LAPTOP)


@pytest.mark.parametrize(
    ("script", "architecture"),
    [
        ("echo 9.0; echo 8.6", "sm_90"),
        ("echo 10.3", "sm_103"),
        ("echo 'NVIDIA-SMI has failed'; exit 9", None),
        ("echo '[N/A]'", None),
        ("", None),
    ],
)
def test_the_driver_says_the_architecture(script, architecture, tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setattr(gpu.shutil, "which", lambda name: str(tool))
    assert gpu.gpu_architecture() == architecture


def test_without_a_driver_there_is_no_architecture(monkeypatch):
    monkeypatch.setattr(gpu.shutil, "which", lambda name: None)
    assert gpu.gpu_architecture() is None
