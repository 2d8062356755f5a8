"""The modules of a checkpoint in their order: which may stand where, and what each of them decides on."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from typing import Any

from torch import nn

from encserve_export.checkpoint.rerankers.logit_score import read_logit_score
from encserve_export.errors import Unsupported

from .layers import (
    SENTENCE,
    TOKENS,
    changes_tokens,
    check_dropout,
    check_mask,
    makes_scores,
    read_dense,
    read_norm,
    read_pooling,
    splade_activation,
)
from .listed import Listed, ListedModule
from .transformer_settings import read_transformer_settings

_STATIC = "StaticEmbedding"
_PYLATE_DENSE = "pylate.models.Dense.Dense"


class _Place(IntEnum):
    """Where in the sequence of modules each stands."""

    NETWORK, TOKEN_DENSE, TOKEN_NORMALIZE, POOLING, DENSE, NORMALIZE, MASK, LOGIT_SCORE = range(8)


_MAY_REPEAT = (_Place.TOKEN_DENSE, _Place.DENSE)


def fields_of(folder: Path, listed: Listed, *, allow_pickle: bool, late: bool, pylate: bool) -> dict[str, Any]:
    """The fields of SentenceModules that the `listed` modules decide on; of late interaction also the folder of its
    `mask`, which may stand anywhere behind the network."""
    found: dict[str, Any] = {}
    dense: dict[_Place, list[nn.Module]] = {place: [] for place in _MAY_REPEAT}
    last, before = None, ""
    for module in listed.modules:
        kind, path = _kind_of(module, folder, pylate=pylate), folder / module.path
        place = _place_of(kind, path, TOKENS if late else SENTENCE)
        if late and place in (_Place.POOLING, _Place.DENSE, _Place.NORMALIZE):
            raise Unsupported(f"{folder / 'modules.json'} pools tokens by {kind}, which late interaction does not do")
        if late and place is _Place.MASK and last is not None:
            if "mask" in found:
                raise Unsupported(f"{folder / 'modules.json'} has two of {kind}, which is not supported")
            found["mask"] = path
            continue
        if last is not None and (place < last or (place == last and place not in _MAY_REPEAT)):
            raise Unsupported(f"{folder / 'modules.json'} puts {kind} after {before}, which is not supported")
        if found.get("scores"):
            raise Unsupported(f"{folder / 'modules.json'} puts {kind} behind scores, which is not supported")
        match place:
            case _Place.NETWORK:
                found["transformer"] = read_transformer_settings(folder, module.path, late=late)
            case _Place.POOLING if kind == "Pooling":
                found["pooling"], found["pools_prompt"] = read_pooling(path)
            case _Place.POOLING:
                found["splade"] = splade_activation(path)
            case _Place.MASK:
                check_mask(path)
            case _Place.LOGIT_SCORE:
                found["logit_score"] = read_logit_score(path)
            case _Place.TOKEN_NORMALIZE:
                found["token_normalize"] = True
            case _Place.NORMALIZE:
                found["normalize"] = True
            case _Place.DENSE if kind == "Dropout":
                check_dropout(path)
            case _Place.DENSE if kind == "LayerNorm":
                dense[place].append(read_norm(path, allow_pickle=allow_pickle))
            case _:
                found["scores"] = makes_scores(path)
                dense[place].append(read_dense(path, allow_pickle=allow_pickle))
        if before == _STATIC and place not in (_Place.DENSE, _Place.NORMALIZE):
            raise Unsupported(
                f"{folder / 'modules.json'} puts {kind} after {_STATIC}, which gives no vectors of tokens"
            )
        last, before = place, kind
    generates = "transformer" in found and found["transformer"].generates
    if generates != ("logit_score" in found):
        raise Unsupported(
            f"{folder / 'modules.json'} has a LogitScore without 'transformer_task': 'text-generation', or that "
            "without a LogitScore, which is not supported"
        )
    if found.get("token_normalize") and "pooling" in found:
        raise Unsupported(f"{folder / 'modules.json'} pools vectors that a Normalize changed, which is not supported")
    return {
        **found,
        "token_dense": tuple(dense[_Place.TOKEN_DENSE]),
        "dense": tuple(dense[_Place.DENSE]),
    }


def _kind_of(module: ListedModule, folder: Path, *, pylate: bool) -> str:
    """The name of a module's class. Raises Unsupported unless it is one of sentence-transformers, or PyLate's layer in
    a checkpoint of PyLate."""
    if pylate and module.type == _PYLATE_DENSE:
        return "Dense"
    if not module.type.startswith("sentence_transformers."):
        raise Unsupported(f"module {module.type!r} of {folder} is Python code of its own, which is not run here")
    return module.kind


def _place_of(kind: str, path: Path, usual: str) -> _Place:
    match kind:
        case "Transformer" | "MLMTransformer" | "StaticEmbedding":
            return _Place.NETWORK
        case "Pooling" | "SpladePooling":
            return _Place.POOLING
        case "Dense":
            return _Place.TOKEN_DENSE if changes_tokens(path, usual) else _Place.DENSE
        case "LayerNorm" | "Dropout":
            return _Place.DENSE
        case "Normalize":
            return _Place.TOKEN_NORMALIZE if changes_tokens(path) else _Place.NORMALIZE
        case "MultiVectorMask":
            return _Place.MASK
        case "LogitScore":
            return _Place.LOGIT_SCORE
        case _:
            raise Unsupported(f"sentence-transformers module {kind} of {path} is not supported")
