"""Reading static embeddings: their table, and their tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from encserve_export.checkpoint.sentence.layers import read_raw_weights
from encserve_export.config import ExportConfig
from encserve_export.errors import CheckpointError, Unsupported
from encserve_export.json_file import read_needed_object, read_object

from .layout import is_static
from .network import StaticConfig, StaticModel

LENGTH = 8192
"""Tokens of a text where nobody says how many. The library reads all of them; a server must have an end."""
_SENTENCE, _MODEL2VEC = "embedding.weight", "embeddings"
_FILES = ("model.safetensors", "pytorch_model.bin")
_FOLDED = ("mapping", "weights")
"""What model2vec may keep apart from the rows: which row a token has, and by what it is multiplied."""


def load_static_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer in `folder`, which puts no special token around a text. Raises CheckpointError: there is none."""
    stated = read_needed_object(folder / "tokenizer.json") | {
        "post_processor": None,
        "truncation": None,
        "padding": None,
    }
    try:
        tokenizer = Tokenizer.from_str(json.dumps(stated))
    except Exception as error:  # tokenizers raises nothing more special
        raise CheckpointError(f"the tokenizer of {folder} cannot be loaded: {error}") from error
    names = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=names)  # type: ignore[no-untyped-call]


def static_network_of(whole: Path, folder: Path, asked: ExportConfig, *, weights: bool) -> StaticModel | None:
    """The table of the checkpoint in `whole`, whose files lie in `folder`: in FP32, a row for each token. None where it
    is one of a network that reads texts.

    Without `weights` it has no numbers where their file is not there.

    Raises:
        CheckpointError: no weights, a pickle that is not allowed, or tensors that do not fit each other; or nobody says
            how wide the vectors are.
        Unsupported: tensors that nothing reads, or rows that are no floating-point numbers.
    """
    if not is_static(whole):
        return None
    if weights or any((folder / file).is_file() for file in _FILES):
        table = _folded(folder, read_raw_weights(folder, allow_pickle=asked.allow_pickle))
        return _eval(StaticModel(_config(*table.shape), table))
    width = read_object(folder / "config.json").get("hidden_dim")
    if type(width) is not int or width < 1:
        raise CheckpointError(
            f"no file but the weights of {asked.checkpoint} says how wide its vectors are; give --weights"
        )
    return _eval(StaticModel(_config(len(load_static_tokenizer(folder)), width)))


def check_static(task: str) -> None:
    """Raise Unsupported for a task that needs more than the vectors of texts."""
    if task != "feature-extraction":
        raise Unsupported(
            f"static embeddings give vectors of texts (feature-extraction), which {task} does not ask for"
        )


def _eval(model: StaticModel) -> StaticModel:
    return model.eval().requires_grad_(False)  # type: ignore[no-any-return,no-untyped-call]


def _config(rows: int, width: int) -> StaticConfig:
    return StaticConfig(vocab_size=rows, hidden_size=width, intermediate_size=width, max_position_embeddings=LENGTH)


def _folded(folder: Path, tensors: dict[str, Tensor]) -> Tensor:
    """A row for each token, multiplied by its weight: float32 (V, H)."""
    name = next((name for name in (_SENTENCE, _MODEL2VEC) if name in tensors), None)
    if name is None:
        raise CheckpointError(f"the weights of {folder} have neither {_SENTENCE} nor {_MODEL2VEC}")
    if unread := sorted({*tensors} - {name, *(_FOLDED if name == _MODEL2VEC else ())}):
        raise Unsupported(f"the weights of {folder} have tensors that nothing reads, such as {unread[0]}")
    table = tensors[name]
    if table.ndim != 2 or not table.is_floating_point():
        raise Unsupported(
            f"{name} of {folder} is {str(table.dtype).removeprefix('torch.')} of the shape {list(table.shape)}; "
            "supported are floating-point numbers, a row for each token"
        )
    table = table.to(torch.float32)
    mapping, weights = (tensors.get(each) for each in _FOLDED)
    if mapping is not None:
        if (
            mapping.ndim != 1
            or mapping.is_floating_point()
            or not 0 <= int(mapping.min()) <= int(mapping.max()) < len(table)
        ):
            raise CheckpointError(f"mapping of {folder} names rows that its {len(table)} embeddings have not")
        table = table[mapping.long()]
    if weights is not None:
        if weights.shape != (len(table),):
            raise CheckpointError(
                f"weights of {folder} has the shape {list(weights.shape)}; there are {len(table)} tokens"
            )
        table = table * weights.to(torch.float32)[:, None]
    if not table.isfinite().all():
        raise CheckpointError(f"the weights of {folder} have numbers that are not finite")
    return table.contiguous()
