"""Checkpoints whose heads stand on one encoder: loading them, and the proof that their encoders are equal."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from encserve_export.config import ExportConfig
from encserve_export.errors import CheckpointError, Unsupported

from .checkpoint import Checkpoint
from .loading import load_checkpoint


def load_heads(config: ExportConfig) -> dict[str, Checkpoint]:
    """The checkpoints by the name of their head, which is empty for the one that `config` names first.

    Raises:
        CheckpointError: as `load_checkpoint`; or two checkpoints differ in the encoder's tensors, or in the tokenizer.
        Unsupported: as `load_checkpoint`; or one of several brings adapters.
    """
    checkpoints = {"": load_checkpoint(replace(config, heads={}))}
    if config.heads:
        _check_without_adapters(checkpoints[""])
    for head, source in config.heads.items():
        own = replace(config, checkpoint=source, heads={}, task=None, pairs=False, revision=None, base_revision=None)
        checkpoints[head] = load_checkpoint(replace(own, trust_remote_code=None))
        _check_without_adapters(checkpoints[head])
        _check_shared(checkpoints[""], checkpoints[head])
    several = [head for head, checkpoint in checkpoints.items() if len(checkpoint.task.outputs) > 1]
    if several and len(checkpoints) > 1:
        task = checkpoints[several[0]].task.name
        raise Unsupported(f"--head: {task} has several outputs of its own, and shares its encoder with no other head")
    shared = {name for checkpoint in checkpoints.values() for name in checkpoint.graph_inputs}
    return {head: replace(checkpoint, shared_inputs=tuple(sorted(shared))) for head, checkpoint in checkpoints.items()}


def _check_without_adapters(checkpoint: Checkpoint) -> None:
    if checkpoint.adapters:
        raise Unsupported(
            f"{checkpoint.source} brings adapters, and heads share an encoder without adapters; --adapter none serves "
            "it without them"
        )


def _check_shared(first: Checkpoint, other: Checkpoint) -> None:
    between = f"{first.source} and {other.source}"
    ours, theirs = _body(first), _body(other)
    for name in sorted({*ours, *theirs}):
        if name not in ours or name not in theirs:
            has = other if name in theirs else first
            raise CheckpointError(f"the encoders of {between} are not equal: only {has.source} has {name}")
        a, b = ours[name], theirs[name]
        if a.shape != b.shape:
            raise CheckpointError(
                f"the encoders of {between} are not equal: {name} has the shapes {list(a.shape)} and {list(b.shape)}"
            )
        if not torch.equal(a, b):
            difference = float((a.double() - b.double()).abs().max())
            raise CheckpointError(
                f"the encoders of {between} are not equal: {name} differs by up to {difference:.3g}; heads share an "
                "encoder only if none of its tensors differs"
            )
    if first.tokenizer_file() != other.tokenizer_file():
        raise CheckpointError(f"the tokenizers of {between} differ; heads that share an encoder share its tokenizer")


def _body(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The tensors of the encoder. A pooler belongs to the head that reads it."""
    tensors = checkpoint.model.base_model.state_dict()
    return {name: tensor for name, tensor in tensors.items() if not name.startswith("pooler.")}
