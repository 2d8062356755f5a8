"""The trained T5 as a pipeline in each precision, exported once for all processes of a run."""

import fcntl
import shutil

import pytest
from trained_t5 import write_trained_t5

from encserve_export.config import ExportConfig, Precision
from encserve_export.export import export
from encserve_export.generation.certificate import requests
from encserve_server.steps.encode.host.cpu_flags import BF16, lacks, read_cpu_flags

PRECISIONS = [Precision.INT8, *([] if lacks(read_cpu_flags(), BF16) else [Precision.BF16])]
"""Those beside FP32 that this processor can compute in."""
SLOW_BUT_INT8 = [
    pytest.param(precision, marks=[] if precision is Precision.INT8 else [pytest.mark.slow], id=precision.value)
    for precision in PRECISIONS
]
"""The same for tests, of which `make test` has int8: another precision is an export of its own."""
FEW = 32
"""Texts of their certificates; that of FP32 has as many as a user's."""


def published_t5(exports):
    """A repository with the pipeline `t5`, and the folder of its checkpoint."""
    repository, checkpoint = exports / "t5", exports / "t5-checkpoint"
    with (exports / "exporting-t5").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (repository / "t5").exists():
            shutil.rmtree(repository, ignore_errors=True)
            write_trained_t5(checkpoint)
            export(ExportConfig(checkpoint=str(checkpoint), name="t5", repository=repository))
    return repository, checkpoint


def published_t5_in(precision, exports):
    """A repository with the pipeline `t5_int8`, or as the precision is called."""
    name = f"t5_{precision.value}"
    _, checkpoint = published_t5(exports)
    with (exports / f"exporting-{name}").open("w") as lock, pytest.MonkeyPatch.context() as patch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        repository = exports / name
        if not (repository / name).exists():
            shutil.rmtree(repository, ignore_errors=True)
            patch.setattr(requests, "TEXTS", FEW)
            config = ExportConfig(checkpoint=str(checkpoint), name=name, repository=repository, precision=precision)
            export(config)
    return repository
