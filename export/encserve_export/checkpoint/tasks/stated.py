"""The task of a checkpoint: what a user asks for, or what its files say that it was trained for."""

from __future__ import annotations

from pathlib import Path

import transformers
from optimum.exporters.tasks import TasksManager
from transformers import PreTrainedConfig

from encserve_export.checkpoint.sentence.modules import stated_task
from encserve_export.errors import Unsupported

from .table import OFFERED


def task_name(asked: str | None, folder: Path, config: PreTrainedConfig) -> str:
    """The task that is `asked` for, in any of its names; else what the files in `folder` state.

    Raises:
        Unsupported: they state none, or it is not offered.
    """
    if asked is not None:
        task, origin = asked if asked in OFFERED else TasksManager.map_from_synonym(asked), f"--task {asked}"
    elif stated := stated_task(folder, config):
        task, origin = stated
    else:
        architectures = config.architectures or []
        network = getattr(transformers, architectures[0], None) if architectures else None
        if network is None:
            raise Unsupported(f"{folder / 'config.json'} does not say what the checkpoint was trained for; give --task")
        task, origin = TasksManager.infer_task_from_model(network), f"architecture {architectures[0]}"
    if task not in OFFERED:
        hint = "--task feature-extraction serves the encoder without its head"
        if task == "text-generation":
            hint = "--task text-ranking serves a language model that ranks by the logits of a word"
        raise Unsupported(f"task {task} (from {origin}) is not supported; supported is {', '.join(OFFERED)}. {hint}")
    return str(task)
