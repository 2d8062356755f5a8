"""Alibaba-NLP's `new`, the network of gte-*-en-v1.5, gte-multilingual and stella_en_400M, as GTE of transformers.

The tensors are those that transformers' own conversion for GTE takes. What differs is how the configuration states the
rotary embedding. Its code scales that once, for all texts ("ntk"): the base is multiplied by the factor s, and each
frequency is divided by s^(2/d), where d is the width of a head. So it is a linear scaling of another base.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from encserve_export.errors import CheckpointError, Unsupported

_MODEL_TYPE = "new"
_CLASSES = {
    "NewModel": "GteModel",
    "NewForMaskedLM": "GteForMaskedLM",
    "NewForSequenceClassification": "GteForSequenceClassification",
    "NewForTokenClassification": "GteForTokenClassification",
}
_OF_PAIRS = "NewForSequenceClassification"
_ONLY = {
    "layer_norm_type": "layer_norm",
    "logn_attention_clip1": False,
    "logn_attention_scale": False,
    "pack_qkv": True,
    "position_embedding_type": "rope",
}
"""Keys of which transformers' network does one value, which is also what `new` takes where nothing is stated."""
_USUAL_BASE = 10_000.0


def is_new(stated: Mapping[str, Any]) -> bool:
    """Whether a configuration is of that network."""
    return stated.get("model_type") == _MODEL_TYPE


def in_terms_of_gte(file: Path, stated: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration that `file` states, for GteConfig. What is neither translated nor known to that stays, and is
    for others to refuse.

    Raises:
        Unsupported: a setting, a scaling or a head that GTE of transformers does not have.
        CheckpointError: the width of a head, or the factor of a scaling, is missing.
    """
    for key, value in _ONLY.items():
        if stated.get(key, value) != value:
            raise Unsupported(f"{file} states {key!r}: {stated[key]!r}, which is not supported; supported is {value!r}")
    classes, types = stated.get("architectures") or (), stated.get("type_vocab_size", 0)
    if _OF_PAIRS in classes and isinstance(types, int) and types > 1:
        raise Unsupported(
            f"{file} states 'type_vocab_size': {types} for {_OF_PAIRS}, which is not supported: the second text of a "
            "pair would have token types of its own, and every token has type 0 here"
        )
    left_out = ("auto_map", "rope_scaling", "rope_theta", *_ONLY)
    native = {key: value for key, value in stated.items() if key not in left_out}
    native["model_type"] = "gte"
    native["architectures"] = [_class(file, name) for name in classes]
    native["rope_parameters"] = _rotary(file, stated)
    return native


def _class(file: Path, name: str) -> str:
    if name not in _CLASSES:
        raise Unsupported(f"{file} states the architecture {name!r}; supported are {', '.join(_CLASSES)}")
    return _CLASSES[name]


def _rotary(file: Path, stated: Mapping[str, Any]) -> dict[str, Any]:
    base = float(stated.get("rope_theta", _USUAL_BASE))
    scaling = stated.get("rope_scaling")
    if scaling is None:
        return {"rope_type": "default", "rope_theta": base}
    if scaling.get("type") != "ntk" or {*scaling} - {"type", "factor"}:
        raise Unsupported(
            f"{file} states 'rope_scaling': {scaling!r}, which is not supported; supported is the type 'ntk' with a "
            "factor"
        )
    hidden, heads, factor = stated.get("hidden_size"), stated.get("num_attention_heads"), scaling.get("factor")
    if (
        type(hidden) is not int
        or type(heads) is not int
        or not isinstance(factor, int | float)
        or not heads > 0 < factor
    ):
        raise CheckpointError(f"{file} lacks hidden_size, num_attention_heads, or the factor of its rope_scaling")
    scale = float(factor)
    return {"rope_type": "linear", "rope_theta": base * scale, "factor": scale ** (2 / (hidden // heads))}
