"""What the networks of GLiNER and GLiNER2 share, as both libraries publish it: spans of words, an encoder of
transformers among other modules, and their files. The modules have the names of the published tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedConfig


class Named(nn.Module):
    """Modules below a name."""

    def __init__(self, **modules: nn.Module) -> None:
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)


def projection(taken: int, given: int | None = None) -> nn.Sequential:
    """Two layers from `taken` numbers to as many, or to `given` ones."""
    given = taken if given is None else given
    return nn.Sequential(nn.Linear(taken, 4 * given), nn.ReLU(), nn.Dropout(), nn.Linear(4 * given, given))


class SpanMarker(nn.Module):
    """A vector for each span, of those of its first and its last word."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project_start, self.project_end = projection(width), projection(width)
        self.out_project = projection(2 * width, width)

    def forward(self, words: Tensor, widths: int) -> Tensor:
        """Vectors of words (w, H) to those of the spans of 1 to K words that begin at each, (w, K, H); those that end
        behind the text have no meaning."""
        last = torch.arange(len(words))[:, None] + torch.arange(widths)
        ends = self.project_end(words)[last.clamp(max=len(words) - 1)]  # (w, K, H)
        starts = self.project_start(words)[:, None].expand_as(ends)
        return self.out_project(torch.cat([starts, ends], -1).relu())  # type: ignore[no-any-return]


def encoder_of(config: PreTrainedConfig, tensors: Mapping[str, Tensor]) -> nn.Module:
    """The encoder of transformers, with as many tokens as there are vectors for."""
    config.vocab_size = next(
        len(tensor) for name, tensor in tensors.items() if re.search(r"\.(word|tok)_embeddings\.weight$", name)
    )
    make: Any = AutoModel.from_config
    encoder: nn.Module = make(config, attn_implementation="eager", dtype=torch.float32)
    return encoder


def fill(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a network its tensors, by their names. Raises ValueError: one is missing."""
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, strict=False)
    if missing := {*network.state_dict()} - {*tensors}:
        raise ValueError(f"the weights lack {sorted(missing)[0]}")
    network.eval()


def tensors_of(folder: Path) -> dict[str, Tensor]:
    """The published tensors, by their names."""
    file = folder / "model.safetensors"
    if file.is_file():
        return load_file(file)
    return dict(torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True))
