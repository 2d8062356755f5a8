"""ColBERT's first layout, that of Stanford: `artifact.metadata` beside the network, whose weights hold the projection,
too."""

from __future__ import annotations

import pickle
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from encserve_export.checkpoint.unread.checking import check_keys
from encserve_export.checkpoint.unread.late_keys import STANFORD_KEYS
from encserve_export.errors import CheckpointError, Unsupported
from encserve_export.json_file import read_needed_object, read_object

from .interaction import Expansion, LateInteraction, Side

ARCHITECTURE = "HF_ColBERT"
METADATA = "artifact.metadata"
PROJECTION = "linear.weight"
"""The tensor of the projection, which no class of transformers has."""
_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
_READ = (
    "query_token_id",
    "doc_token_id",
    "query_maxlen",
    "doc_maxlen",
    "attend_to_mask_tokens",
    "mask_punctuation",
    "dim",
)


def is_stanford(folder: Path) -> bool:
    """Whether the network in `folder` is one of this layout."""
    return ARCHITECTURE in (read_object(folder / "config.json").get("architectures") or ())


def read_metadata(folder: Path) -> LateInteraction:
    """What `artifact.metadata` says; the markers of Stanford's code where it names none.

    Raises:
        CheckpointError: there is no such file, or it lacks a length, for which no two readers have the same default.
        Unsupported: a key that is not offered.
    """
    file = folder / METADATA
    if not file.is_file():
        raise CheckpointError(f"{folder} is of a Stanford ColBERT (architecture {ARCHITECTURE}) and has no {METADATA}")
    stated = read_needed_object(file)
    check_keys(file, stated, _READ, STANFORD_KEYS)
    for key in ("query_maxlen", "doc_maxlen"):
        if type(stated.get(key)) is not int or stated[key] < 1:
            raise CheckpointError(f"{file} states {key} {stated.get(key)!r}; a number of tokens is expected")
    query, document = (
        _marker(file, key, stated.get(key) or usual)
        for key, usual in (("query_token_id", "[unused0]"), ("doc_token_id", "[unused1]"))
    )
    punctuation = tuple(string.punctuation) if stated.get("mask_punctuation", True) else ()
    return LateInteraction(
        query=Side(marker=query, max_length=stated["query_maxlen"]),
        document=Side(
            marker=document,
            max_length=stated["doc_maxlen"],
            skipped_words=punctuation,
        ),
        expansion=Expansion(
            length=stated["query_maxlen"], fixed=True, attended=bool(stated.get("attend_to_mask_tokens"))
        ),
    )


def _marker(file: Path, key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise CheckpointError(f"{file} states {key} {value!r}; a token is expected")
    return value


def read_projection(folder: Path, *, allow_pickle: bool) -> nn.Sequential:
    """The projection of tokens, float32 (..., H) to (..., dim), out of the weights of the network; without numbers
    where the folder has no weights at all.

    Raises:
        CheckpointError: it is not there, is a pickle that is not allowed, or is not as wide as the metadata say.
    """
    stated = read_object(folder / METADATA).get("dim")
    if not any((folder / file).is_file() for file in _FILES):  # as of a hub id whose weights are not looked at
        width = int(read_object(folder / "config.json").get("hidden_size") or 0)
        return nn.Sequential(nn.Linear(width, stated or 128, bias=False, device="meta"), nn.Identity())
    weight = _weight(folder, allow_pickle=allow_pickle)
    if weight.ndim != 2 or stated not in (None, len(weight)):
        raise CheckpointError(
            f"{PROJECTION} of {folder} has the shape {list(weight.shape)}, and {METADATA} states dim {stated}"
        )
    made, width = weight.shape
    linear = nn.Linear(width, made, bias=False)
    linear.weight = nn.Parameter(weight.float(), requires_grad=False)
    return nn.Sequential(linear, nn.Identity())


def check_beside(folder: Path, layers: Sequence[nn.Module], *, allow_pickle: bool) -> None:
    """Check that the projection among the weights of a network is the first of the `layers` that other files state.

    Raises:
        Unsupported: it is another, so that one of the two would be lost.
    """
    projection, *others = (
        dict(each.named_parameters()) for each in (read_projection(folder, allow_pickle=allow_pickle), *layers[:1])
    )
    weights = [projection["0.weight"], *(each["0.weight"] for each in others)]
    if len(weights) != 2 or weights[0].shape != weights[1].shape or not torch.equal(*weights):
        raise Unsupported(
            f"{folder} has {PROJECTION} among the weights of its network, and another projection in modules.json: only "
            "one of them can be right"
        )


def _weight(folder: Path, *, allow_pickle: bool) -> Tensor:
    whole, listed, pickle_file = _FILES
    index = read_object(folder / listed).get("weight_map") or {}
    file, pickled = folder / str(index.get(PROJECTION, whole)), folder / pickle_file
    try:
        if file.is_file():
            with safe_open(file, framework="pt") as tensors:
                return tensors.get_tensor(PROJECTION)  # type: ignore[no-any-return]
        if pickled.is_file() and allow_pickle:
            return torch.load(pickled, map_location="cpu", weights_only=True)[PROJECTION]  # type: ignore[no-any-return]
    except (SafetensorError, KeyError) as error:
        raise CheckpointError(f"the weights of {folder} have no {PROJECTION}, the projection of a ColBERT") from error
    except (RuntimeError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{pickled} cannot be read as tensors alone: {error}") from error
    if pickled.is_file():
        raise CheckpointError(
            f"the weights of {folder} are a pickle, which can run code when it is read. Save them as safetensors, or "
            "give --allow-pickle if you trust whoever made them"
        )
    raise CheckpointError(f"{folder} has no model.safetensors")
