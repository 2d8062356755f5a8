"""Whether this host can run what a pipeline was exported for: refused before Triton starts, in words."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from encserve import PipelineInfo
from encserve_server.errors import UnsupportedHost
from encserve_server.gpu import gpu_architecture
from encserve_server.host import has_nvidia_driver
from encserve_server.locate import Installation


@dataclass(frozen=True, kw_only=True)
class Engines:
    """What an installation of Triton and its host offer to the encode step."""

    backends: frozenset[str] | None
    """Names of the backends; None where they are not known, and Triton will say."""
    has_gpu: bool
    gpu_architecture: str | None
    """Such as "sm_90"; None where it is not known."""
    tensorrt_version: str | None
    """Of Triton's TensorRT backend, such as "10.13.3"; None where it is not known."""


def read_engines(installation: Installation) -> Engines:
    """Look at this host. NVIDIA's images say in TRT_VERSION which TensorRT they hold."""
    folder = (
        installation.wheel.backend_folder if installation.wheel else installation.executable.parents[1] / "backends"
    )
    backends = frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else None
    has_gpu = has_nvidia_driver()
    return Engines(
        backends=backends,
        has_gpu=has_gpu,
        gpu_architecture=gpu_architecture() if has_gpu else None,
        tensorrt_version=os.environ.get("TRT_VERSION", "").partition("+")[0] or None,
    )


def check_engine(pipeline: PipelineInfo, manifest: Mapping[str, Any], engines: Engines) -> None:
    """Refuse a pipeline that could not run here.

    Raises:
        UnsupportedHost: says what the pipeline needs, what is here, and what helps.
    """
    name, engine = pipeline.name, pipeline.engine
    if engines.backends is not None and engine not in engines.backends:
        raise UnsupportedHost(
            f"pipeline {name} needs Triton's backend {engine!r}, and this Triton has "
            f"{', '.join(sorted(engines.backends))}: serve it out of NVIDIA's image (docker compose up), or export it "
            "with --engine python"
        )
    if (engine == "tensorrt" or manifest.get("device") == "gpu") and not engines.has_gpu:
        raise UnsupportedHost(
            f"pipeline {name} was exported for a GPU, and this host has no NVIDIA driver: serve it on a host with a "
            "GPU, or export it with --engine python"
        )
    plan = manifest.get("plan") or {}
    for what, built, here in (
        ("TensorRT", plan.get("tensorrt_version"), engines.tensorrt_version),
        ("GPU architecture", plan.get("gpu_architecture"), engines.gpu_architecture),
    ):
        if built is not None and here is not None and not _matches(built, here):
            raise UnsupportedHost(
                f"the plan of pipeline {name} was built for {what} {built}, and here it is {here}; a plan runs nowhere "
                "else: export the pipeline again with --engine tensorrt in the image and on the GPU that serve it"
            )


def _matches(built: str, here: str) -> bool:
    """Equal, as far as both are given: 10.13.3.9 matches 10.13.3."""
    return all(a == b for a, b in zip(built.split("."), here.split("."), strict=False))


def check_engines(repository: Path, pipelines: tuple[PipelineInfo, ...], engines: Engines) -> None:
    """Refuse the first of `pipelines` that could not run here. Raises UnsupportedHost."""
    for pipeline in pipelines:
        manifest = json.loads((repository / pipeline.name / pipeline.version / "manifest.json").read_bytes())
        check_engine(pipeline, manifest, engines)
