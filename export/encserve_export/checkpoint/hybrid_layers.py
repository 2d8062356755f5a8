"""The two layers that BGE-M3 has beside its encoder, in FlagEmbedding's layout: of each token's state one makes a
weight, the other a vector."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from encserve_export.errors import CheckpointError, Unsupported

from .sentence.modules import SentenceModules

SPARSE_FILE, TOKENS_FILE = "sparse_linear.pt", "colbert_linear.pt"
HYBRID = "hybrid-embedding"
"""The task of checkpoints with both."""


@dataclass(frozen=True)
class HybridLayers:
    """What stands on the state of each token, float32 (..., H)."""

    sparse: nn.Linear
    """To the weight of the token before ReLU, (..., 1)."""
    tokens: nn.Linear
    """To the vector of the token, (..., D)."""


def read_hybrid_layers(folder: Path, width: int, *, allow_pickle: bool) -> HybridLayers:
    """Read both layers of the checkpoint in `folder`, whose states are `width` wide.

    Raises:
        CheckpointError: a file is missing, is a pickle where none is allowed, or does not fit.
    """
    if not allow_pickle:
        raise CheckpointError(
            f"{SPARSE_FILE} and {TOKENS_FILE} of {folder} are pickles, which can run code when they are read. Give "
            "--allow-pickle if you trust whoever made them: they are read as tensors alone"
        )
    for name in (SPARSE_FILE, TOKENS_FILE):
        if not (folder / name).is_file():
            raise CheckpointError(
                f"{folder} has no {name}; {HYBRID} needs {SPARSE_FILE} and {TOKENS_FILE}, as FlagEmbedding saves them"
            )
    layers = HybridLayers(_linear(folder / SPARSE_FILE, width), _linear(folder / TOKENS_FILE, width))
    if layers.sparse.out_features != 1:
        raise CheckpointError(f"{folder / SPARSE_FILE} makes {layers.sparse.out_features} weights of a token, not 1")
    return layers


def pooled_as_m3(folder: Path, modules: SentenceModules) -> SentenceModules:
    """The modules of a checkpoint as FlagEmbedding reads it: whatever stands beside, a text's vector is that of its
    first token, and vectors are brought to length one.

    Raises:
        Unsupported: the files of sentence-transformers say otherwise.
    """
    if (folder / "modules.json").is_file():
        stated = {"pooling": modules.pooling, "Dense": len(modules.dense), "Dense on tokens": len(modules.token_dense)}
        wanted = {"pooling": "cls", "Dense": 0, "Dense on tokens": 0}
        for name, value in wanted.items():
            if stated[name] != value:
                raise Unsupported(f"modules.json of {folder} says {name} {stated[name]}, {HYBRID} needs {value}")
        if modules.late or modules.table or modules.prompts:
            raise Unsupported(f"{folder} has prompts or sides of sentence-transformers, which {HYBRID} does not offer")
    return replace(modules, pooling="cls", normalize=True, token_normalize=True)


def _linear(file: Path, width: int) -> nn.Linear:
    try:
        tensors = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise CheckpointError(f"{file} cannot be read as tensors alone: {error}") from error
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()} if isinstance(tensors, dict) else {}
    made = shapes.get("weight", (0,))[0]
    if shapes != {"weight": (made, width), "bias": (made,)} or not made:
        raise CheckpointError(f"{file} holds {shapes}; weight [n, {width}] and bias [n] of one layer are expected")
    linear = nn.Linear(width, made)
    linear.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return linear.requires_grad_(False)
