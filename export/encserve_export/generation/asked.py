"""Whether an export is to generate texts, what it then cannot be asked, and how it is made."""

from __future__ import annotations

from optimum.exporters.tasks import TasksManager

from encserve_export.checkpoint.source import checkpoint_folder
from encserve_export.checkpoint.tasks.table import GENERATION, OFFERED
from encserve_export.config import Engine, ExportConfig, Precision
from encserve_export.engines.ways import Way, way_of
from encserve_export.errors import InvalidConfig
from encserve_export.json_file import read_object
from encserve_server.steps.encode.host.cpu_flags import read_cpu_flags

from .decoders.table import DECODERS

PRECISIONS = (Precision.FP32, Precision.BF16, Precision.INT8)


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


def way_asked(config: ExportConfig) -> Way:
    """How the graphs are made and run. Raises InvalidConfig: this is not offered for generation, or not here."""
    precision = config.precision.value if config.precision else "auto"
    refused = {
        "--head": config.heads,
        "--pairs": config.pairs,
        f"--engine {config.engine}": config.engine != Engine.PYTHON,
        "--runtime auto": config.compare_runtimes,
        f"--precision {precision}": config.precision not in PRECISIONS,
        "--device": config.device is not None,
        "--calibration": config.calibration is not None,
        "--token-budget": config.token_budget is not None,
        "--build background": config.followed_by is not None,
    }
    for option, is_given in refused.items():
        if is_given:
            raise InvalidConfig(
                f"{option} is not offered for {GENERATION.name}, which is exported for engine python in fp32 or int8 "
                "with onnxruntime, or in bf16 with openvino"
            )
    assert config.precision is not None
    return way_of(config.precision, config, read_cpu_flags())
