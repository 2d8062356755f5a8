"""The weights of a checkpoint in the class of transformers that its task needs: all of them, and nothing else."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import GenerationConfig, PreTrainedConfig, PreTrainedModel

from encserve_export.attention.families import Family
from encserve_export.config import ExportConfig
from encserve_export.errors import CheckpointError, Unsupported

from .remote_code import hint
from .tasks.task import Task
from .unread.tensors import unread_tensors

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")


def load_network(
    folder: Path, family: Family, task: Task, asked: ExportConfig, *, read_elsewhere: Collection[str] = ()
) -> PreTrainedModel:
    """The network that `task` needs, in FP32, without gradients. Its file may have tensors beside its own that are
    `read_elsewhere`, by their names.

    Raises:
        CheckpointError: no weights, a pickle that is not allowed, a damaged file, tensors that lack or do not fit.
        Unsupported: tensors that nothing reads, a network that needs code of the checkpoint's own, or a decoder that
            the task does not use.
    """
    _check_file(folder, asked)
    headless = task.network is transformers.AutoModel
    model, loading = _loaded(folder, family if headless else task, asked)
    for key, found, wanted in sorted(loading["mismatched_keys"]):
        raise CheckpointError(
            f"{key} of {folder} has the shape {list(found)}, the config asks for {list(wanted)}: "
            f"it names {model.config.num_labels} labels and {model.config.vocab_size} tokens"
        )
    # transformers fills what a checkpoint lacks with random numbers; a pooler that nothing uses is the one harmless
    # case.
    missing = sorted(key for key in loading["missing_keys"] if not key.startswith("pooler." if headless else ()))
    unread = unread_tensors(model, {*loading["unexpected_keys"]} - {*read_elsewhere})
    foreign = sorted({*missing, *unread})
    if foreign and asked.trust_remote_code is None and getattr(model.config, "auto_map", None):
        raise Unsupported(
            f"{folder} comes with Python code of its own, which is not run, and its weights do not fit "
            f"{type(model).__name__} of transformers: {len(foreign)} tensors differ, such as {foreign[0]}. To run it, "
            f"{hint(folder, asked)}"
        )
    if missing:
        raise CheckpointError(
            f"the weights of {folder} lack {len(missing)} tensors that {task.name} needs, such as {missing[0]}"
        )
    if unread:
        raise Unsupported(
            f"the weights of {folder} have {len(unread)} tensors that neither {type(model).__name__} nor another head "
            f"of this family in transformers reads, such as {unread[0]}: what they compute would be lost. If you know "
            "that no answer depends on them, take them out of the file in a local copy of the checkpoint"
        )
    if hasattr(model.base_model, "decoder") and not task.generates:
        raise Unsupported(
            f"{type(model).__name__} of transformers reads each text with a decoder too, which is not served for "
            f"{task.name}; --task feature-extraction serves its encoder"
        )
    return model.eval().requires_grad_(False)  # type: ignore[no-any-return,no-untyped-call]


def network_without_weights(
    folder: Path, config: PreTrainedConfig, family: Family, task: Task, asked: ExportConfig
) -> PreTrainedModel:
    """The network that `task` needs, by its configurations alone: its tensors have shapes and no numbers.

    Raises:
        CheckpointError: transformers cannot make it.
    """
    loader = family if task.network is transformers.AutoModel else task
    try:
        with torch.device("meta"):
            model = loader.network.from_config(config, trust_remote_code=asked.trust_remote_code is not None)
        if task.generates and (folder / "generation_config.json").is_file():
            model.generation_config = GenerationConfig.from_pretrained(folder)
    except Exception as error:  # whatever the code of a network does with a configuration
        raise CheckpointError(f"transformers cannot make the network of {asked.checkpoint}: {error}") from error
    return model.eval().requires_grad_(False)  # type: ignore[no-any-return]


def _check_file(folder: Path, asked: ExportConfig) -> None:
    if any((folder / file).is_file() for file in _WEIGHTS):
        return
    if not any((folder / file).is_file() for file in _PICKLES):
        raise CheckpointError(f"{folder} has no weights: none of {', '.join(_WEIGHTS)}")
    if not asked.allow_pickle:
        raise CheckpointError(
            f"the weights of {folder} are a pickle, which can run code when it is read. Save them as safetensors, "
            "or give --allow-pickle if you trust whoever made them"
        )


def _loaded(folder: Path, loader: Family | Task, asked: ExportConfig) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The network by the class that `loader` names, and what transformers says of how the tensors fitted."""
    code = asked.trust_remote_code
    try:
        loaded: tuple[PreTrainedModel, dict[str, Any]] = loader.network.from_pretrained(
            folder,
            dtype=torch.float32,
            attn_implementation="eager",
            use_safetensors=None if asked.allow_pickle else True,
            trust_remote_code=code is not None,
            code_revision=code,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # to name them, where transformers would fill them anew
        )
    except Exception as error:  # a damaged file surfaces as many types: safetensors', zip's, torch's
        raise CheckpointError(f"the weights of {folder} cannot be loaded: {error}") from error
    return loaded
