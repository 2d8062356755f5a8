"""Nomic BERT with experts, which calls itself as the one without: its configuration for the network that encserve wrote
down of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from encserve_export.errors import CheckpointError, Unsupported
from encserve_export.reference.networks import NOMIC_MOE, make_known

_EVERY = "moe_every_n_layers"
_SIZES = {
    "n_embd": "hidden_size",
    "n_head": "num_attention_heads",
    "n_inner": "intermediate_size",
    "n_layer": "num_hidden_layers",
    "n_positions": "max_position_embeddings",
    "layer_norm_epsilon": "layer_norm_eps",
}
"""Keys of the published files, and what transformers' NomicBERT calls the same thing; either is taken."""
_ONLY: dict[str, tuple[Any, ...]] = {
    "activation_function": ("gelu",),
    "causal": (False,),
    "expert_choice_router": (False, None),
    "ffn_div": (1, None),
    "moe_normalize_expert_weights": (False, None),
    "num_shared_experts": (0, None),
    "parallel_block": (False, None),
    "prenorm": (False,),
    "rotary_emb_fraction": (1,),
    "rotary_emb_interleaved": (False, None),
    "rotary_emb_scale_base": (None,),
    "rotary_scaling_factor": (None,),
    "scale_attn_by_inverse_layer_idx": (False, None),
    "scale_attn_weights": (True, None),
    "use_rms_norm": (False, None),
}
"""Keys of which the network does these values alone; the first is what it takes where nothing is stated."""
_UNLESS_STATED = {"activation_function": "gelu_new", "rotary_emb_fraction": 0.0}
"""Where that is another value than the first above."""
_LEFT_OUT = ("auto_map", "moe_impl", "rotary_emb_base", "max_trained_positions")
_USUAL_BASE = 10_000.0
_CLASSES = {"NomicBertModel": "NomicMoeModel"}


def is_nomic_moe(stated: Mapping[str, Any]) -> bool:
    """Whether a configuration is of Nomic BERT, with experts in some layers."""
    return stated.get("model_type") == "nomic_bert" and stated.get(_EVERY) not in (None, 0)


def in_terms_of_nomic_moe(file: Path, stated: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration that `file` states, for NomicMoeConfig. What is not known here stays, and is for others to
    refuse.

    Raises:
        Unsupported: a setting of which the network does another value, or a head.
        CheckpointError: a size is missing, is no number, or is stated twice with different values.
    """
    for key, values in _ONLY.items():
        value = stated.get(key, _UNLESS_STATED.get(key, values[0]))
        if value not in values:
            raise Unsupported(
                f"{file} states {key!r}: {value!r} beside experts, which is not supported; supported is {values[0]!r}"
                if key in stated
                else f"{file} does not state {key!r}, which means {value!r} and is not supported; supported is "
                f"{values[0]!r}"
            )
    every, experts, chosen = (stated.get(key) for key in (_EVERY, "num_experts", "moe_top_k"))
    if type(every) is not int or type(experts) is not int or type(chosen) is not int:
        raise CheckpointError(f"{file} lacks {_EVERY}, num_experts or moe_top_k, which are integers")
    if every < 2 or not 1 <= chosen <= experts:
        raise Unsupported(
            f"{file} states {_EVERY}: {every}, num_experts: {experts} and moe_top_k: {chosen}, which is not supported; "
            f"supported are experts in every second layer or in fewer, of whom a token has one or more"
        )
    if unknown := [name for name in stated.get("architectures") or () if name not in _CLASSES]:
        raise Unsupported(
            f"{file} states the architecture {unknown[0]!r} beside experts; supported is {', '.join(_CLASSES)}"
        )
    make_known(NOMIC_MOE)
    left_out = (*_ONLY, *_LEFT_OUT, *_SIZES)
    native = {key: value for key, value in stated.items() if key not in left_out}
    native |= {name: _size(file, stated, key, name) for key, name in _SIZES.items()}
    native["model_type"] = NOMIC_MOE
    native["architectures"] = [_CLASSES[name] for name in stated.get("architectures") or ()]
    for key in ("qkv_proj_bias", "mlp_fc1_bias", "mlp_fc2_bias"):
        native.setdefault(key, True)
    base = float(stated.get("rotary_emb_base", _USUAL_BASE))
    native.setdefault("rope_parameters", {"rope_type": "default", "rope_theta": base})
    return native


def _size(file: Path, stated: Mapping[str, Any], key: str, name: str) -> Any:
    values = {each: stated[each] for each in (key, name) if stated.get(each) is not None}
    if not values and key == "n_inner":  # as GPT-2 reads it, whose keys these are
        return 4 * _size(file, stated, "n_embd", _SIZES["n_embd"])
    if not values:
        raise CheckpointError(f"{file} lacks {key}")
    kinds = (int, float) if key == "layer_norm_epsilon" else (int,)
    for each, value in values.items():
        if type(value) not in kinds or value <= 0:
            wanted = "number" if float in kinds else "integer"
            raise CheckpointError(f"{file} states {each}: {value!r}, which is no {wanted} above 0")
    if len({*values.values()}) > 1:
        raise CheckpointError(f"{file} states {key} and {name} with different values")
    return next(iter(values.values()))
