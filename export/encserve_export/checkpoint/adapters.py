"""The adapters of a checkpoint: those that it brings, and those that are given to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from transformers import PreTrainedModel

from encserve_export.adapters.brought import brought_adapters, prompt_of
from encserve_export.adapters.lora import Adapter, read_adapters
from encserve_export.config import ExportConfig
from encserve_export.errors import CheckpointError, InvalidConfig, Unsupported

from .sentence.modules import SentenceModules
from .tasks.adapted import ADAPTED, PROMPTED_BY_ADAPTER, WITH_HEADS
from .tasks.task import Task


def adapters_of(
    config: ExportConfig, folder: Path, task: Task, model: PreTrainedModel, modules: SentenceModules
) -> tuple[Adapter, ...]:
    """The adapters that texts of a checkpoint may have: those that it brings, and those that `config` names.

    Raises:
        CheckpointError: a file of one of them is missing, or not what it should be.
        Unsupported: one of them is not served, with this task or at all, or two have one name.
    """
    brought = brought_adapters(folder) if config.own_adapters and config.trust_remote_code is None else {}
    try:
        adapters = _read_adapters(_with(config, brought), task, model, modules)
    except (CheckpointError, Unsupported) as error:
        if not brought:
            raise
        raise type(error)(
            f"{error}. The checkpoint itself brings the adapters {', '.join(brought)}; --adapter none serves it "
            "without any"
        ) from error
    by_adapter = task.name in PROMPTED_BY_ADAPTER and not modules.default_prompt_name
    prompts = {name: prompt_of(name, modules.prompts) for name in brought} if by_adapter else {}
    return tuple(replace(each, prompt_name=prompts.get(each.name)) for each in adapters)


def _read_adapters(
    config: ExportConfig, task: Task, model: PreTrainedModel, modules: SentenceModules
) -> tuple[Adapter, ...]:
    if config.adapters and task.name not in ADAPTED:
        raise Unsupported(f"--adapter: adapters are not served for {task.name}, only for {', '.join(ADAPTED)}")
    if config.adapters and modules.table:
        raise Unsupported(
            "--adapter: adapters are not served for checkpoints that answer queries by a table of weights"
        )
    return read_adapters(config.adapters, model, saves_heads=task.name in WITH_HEADS)


def _with(config: ExportConfig, brought: dict[str, str]) -> ExportConfig:
    """`config` with the adapters that its checkpoint brings. Raises Unsupported: they cannot be served so, or one that
    is given has the name of one of them."""
    if twice := sorted({*brought} & {*config.adapters}):
        raise Unsupported(f"--adapter {twice[0]}: the checkpoint brings an adapter of that name")
    try:
        return replace(config, adapters={**config.adapters, **brought})
    except InvalidConfig as error:
        raise Unsupported(str(error)) from error
