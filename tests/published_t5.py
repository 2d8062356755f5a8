"""The trained T5 as a pipeline, exported once for all processes of a run."""

import fcntl
import shutil

from trained_t5 import write_trained_t5

from encserve_export.config import ExportConfig
from encserve_export.export import export


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
