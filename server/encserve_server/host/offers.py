"""Whether this host offers what pipelines require: refused before Triton starts, in words."""

import os
from collections.abc import Sequence
from pathlib import Path

from encserve import PipelineInfo
from encserve_repository.errors import Damaged
from encserve_repository.versions import stated_manifest
from encserve_server.errors import RepositoryError, UnsupportedHost
from encserve_server.host.gpu import gpu_architecture
from encserve_server.host.instances import check_instances
from encserve_server.host.locate import Installation
from encserve_server.host.platform import has_nvidia_driver
from encserve_server.steps.encode.host.cpu_flags import read_cpu_flags
from encserve_server.steps.encode.host.requirements import Host, HostRequirements


def read_offers(installation: Installation) -> Host:
    """Look at this host. NVIDIA's images say in TRT_VERSION which TensorRT they hold. Which Python modules the steps
    can import they find out themselves."""
    folder = (
        installation.wheel.backend_folder if installation.wheel else installation.executable.parents[1] / "backends"
    )
    has_gpu = has_nvidia_driver()
    return Host(
        cpu_flags=read_cpu_flags() or None,  # none at all: no Linux
        backends=frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else None,
        has_gpu=has_gpu,
        gpu_architecture=gpu_architecture() if has_gpu else None,
        tensorrt_version=os.environ.get("TRT_VERSION", "").partition("+")[0] or None,
    )


def check_pipelines(repository: Path, pipelines: Sequence[PipelineInfo], host: Host) -> None:
    """Refuse the first of `pipelines` that could not run on `host`.

    Raises:
        UnsupportedHost: says what the pipeline needs, what is here, and what helps.
        RepositoryError: a pipeline does not say what it needs, or has more instances than it can count.
    """
    for pipeline in pipelines:
        try:
            manifest = stated_manifest(repository, pipeline.name, int(pipeline.version))
            complaints = HostRequirements.of(manifest).lacking(host)
        except (Damaged, ValueError) as error:
            raise RepositoryError(f"pipeline {pipeline.name}: {error}") from error
        if complaints:
            raise UnsupportedHost(f"pipeline {pipeline.name} cannot be served here: {'; '.join(complaints)}")
        check_instances(repository, pipeline.name)
