"""Whether an export is to generate texts, and what it then cannot be asked."""

from __future__ import annotations

from optimum.exporters.tasks import TasksManager

from encserve_export.checkpoint.json_file import read_object
from encserve_export.checkpoint.source import checkpoint_folder
from encserve_export.checkpoint.tasks.table import GENERATION, OFFERED
from encserve_export.config import Engine, ExportConfig, Precision, Runtime
from encserve_export.errors import InvalidConfig

from .decoders.table import DECODERS


def generates(config: ExportConfig) -> bool:
    """Whether an export is of a pipeline that generates: it is asked for one, or the checkpoint says that it is one.

    Raises:
        CheckpointError: there is no such checkpoint.
    """
    if config.task is not None:
        task = config.task if config.task in OFFERED else TasksManager.map_from_synonym(config.task)
        return bool(task == GENERATION.name)
    folder = checkpoint_folder(config)
    if (folder / "modules.json").is_file():  # by which it makes vectors, whatever network it was trained from
        return False
    stated = read_object(folder / "config.json")
    return any(each in DECODERS for each in stated.get("architectures") or ())


def check_asked(config: ExportConfig) -> None:
    """Refuse what is not offered for generation. Raises InvalidConfig."""
    refused = {
        "--head": config.heads,
        "--pairs": config.pairs,
        f"--engine {config.engine}": config.engine != Engine.PYTHON,
        "--runtime": config.runtime not in (None, Runtime.ONNXRUNTIME) or config.compare_runtimes,
        "--precision": config.precision is not Precision.FP32,
        "--device": config.device is not None,
        "--calibration": config.calibration is not None,
        "--token-budget": config.token_budget is not None,
        "--build background": config.followed_by is not None,
    }
    for option, is_given in refused.items():
        if is_given:
            raise InvalidConfig(
                f"{option} is not offered for {GENERATION.name}, which is exported in fp32 for engine python with "
                "onnxruntime"
            )
