"""Pipelines that this host cannot run are refused before Triton starts."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from encserve.testing import fake_pipeline
from encserve_server.errors import RepositoryError, UnsupportedHost
from encserve_server.host import gpu, offers
from encserve_server.host.locate import Installation, Wheel
from encserve_server.host.offers import check_pipelines, read_offers
from encserve_server.steps.encode.host.requirements import Host, HostRequirements

OLD = frozenset({"avx2"})
IMAGE = Host(
    cpu_flags=OLD,
    backends=frozenset({"python", "onnxruntime", "tensorrt"}),
    has_gpu=True,
    gpu_architecture="sm_90",
    tensorrt_version="10.13.3.9",
)
LAPTOP = Host(cpu_flags=OLD, backends=frozenset({"python"}), has_gpu=False)


@pytest.fixture(autouse=True)
def old_processor(monkeypatch):
    monkeypatch.setattr(offers, "read_cpu_flags", lambda: OLD)


def test_the_wheel_has_the_backends_of_its_folder(tmp_path, monkeypatch):
    (tmp_path / "python").mkdir()
    monkeypatch.setattr(offers, "has_nvidia_driver", lambda: False)
    monkeypatch.delenv("TRT_VERSION", raising=False)
    wheel = Wheel(backend_folder=tmp_path, cache_folder=tmp_path, stub_folder=tmp_path, libs_folder=tmp_path)
    assert read_offers(Installation(executable=Path("/wheel/bin/tritonserver"), wheel=wheel)) == LAPTOP


def test_an_image_has_the_backends_beside_its_binary_and_says_its_tensorrt(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    for name in ("python", "onnxruntime", "tensorrt"):
        (tmp_path / "backends" / name).mkdir(parents=True)
    monkeypatch.setattr(offers, "has_nvidia_driver", lambda: True)
    monkeypatch.setattr(offers, "gpu_architecture", lambda: "sm_90")
    monkeypatch.setenv("TRT_VERSION", "10.13.3.9+cuda13.0")
    assert read_offers(Installation(executable=tmp_path / "bin/tritonserver", wheel=None)) == IMAGE


def published(repository, pipeline, requirements):
    folder = repository / pipeline.name / pipeline.version
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"requirements": requirements}))


def test_the_first_that_cannot_run_is_named(tmp_path):
    pipelines = (fake_pipeline(), fake_pipeline(name="fast", engine="onnxruntime"))
    for pipeline in pipelines:
        published(tmp_path, pipeline, asdict(HostRequirements(backend=pipeline.engine)))
    check_pipelines(tmp_path, pipelines, IMAGE)
    with pytest.raises(UnsupportedHost, match="pipeline fast cannot be served here: it needs Triton's backend"):
        check_pipelines(tmp_path, pipelines, LAPTOP)


def test_a_processor_that_computes_other_numbers_is_refused(tmp_path):
    pipeline = fake_pipeline(precision="bf16")
    published(tmp_path, pipeline, asdict(HostRequirements(backend="python", cpu_any_of=("avx512_bf16", "amx_bf16"))))
    with pytest.raises(UnsupportedHost, match="this processor has no avx512_bf16 or amx_bf16, and would compute other"):
        check_pipelines(tmp_path, (pipeline,), LAPTOP)
    check_pipelines(tmp_path, (pipeline,), replace(LAPTOP, cpu_flags=OLD | {"amx_bf16"}))


def test_a_manifest_of_another_release_is_refused_with_what_helps(tmp_path):
    pipeline = fake_pipeline()
    published(tmp_path, pipeline, {})
    with pytest.raises(RepositoryError, match="it was exported with another release of encserve; export it again"):
        check_pipelines(tmp_path, (pipeline,), LAPTOP)


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
