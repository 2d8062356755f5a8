"""The files that sentence-transformers puts beside a checkpoint: pooling, dense layers, normalisation, prompts,
lengths."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedConfig

from .errors import CheckpointError, Unsupported
from .pooling import POOLINGS

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    f"torch.nn.modules.{module}": activation
    for module, activation in {
        "activation.GELU": nn.GELU,
        "activation.ReLU": nn.ReLU,
        "activation.SiLU": nn.SiLU,
        "activation.Tanh": nn.Tanh,
        "linear.Identity": nn.Identity,
    }.items()
}

_POOLING_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "lasttoken",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_weightedmean_tokens": "weightedmean",
}
"""The older form of a pooling configuration, a flag for each mode."""


@dataclass(frozen=True)
class SentenceModules:
    """What turns token vectors into a sentence embedding."""

    pooling: str = "mean"
    dense: tuple[nn.Module, ...] = ()
    normalize: bool = False
    max_length: int | None = None
    lowercase: bool = False
    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    activation: str | None = None
    """Class that makes scores of a cross-encoder's logits."""


def read_sentence_modules(folder: Path) -> SentenceModules:
    """Read `modules.json` and the files it names; the defaults of sentence-transformers where there is none.

    Raises:
        Unsupported: a module or a pooling that is not offered.
        CheckpointError: a file that is named but missing.
    """
    if not (folder / "modules.json").is_file():
        return SentenceModules()

    pooling, dense, normalize, transformer = "mean", [], False, {}
    for module in _read_json(folder / "modules.json"):
        kind, path = module["type"].rsplit(".", 1)[-1], folder / module["path"]
        if not module["type"].startswith("sentence_transformers."):
            raise Unsupported(f"module {module['type']!r} of {folder} is Python code of its own, which is not run here")
        if normalize:
            raise Unsupported(f"{folder / 'modules.json'} puts {kind} after Normalize, which is not supported")
        if kind in ("Transformer", "MLMTransformer"):
            transformer = _read_optional_json(path / "sentence_bert_config.json")
        elif kind == "Pooling":
            pooling = _pooling_mode(_read_json(path / "config.json"))
        elif kind == "SpladePooling":
            _check_splade(_read_json(path / "config.json"))
        elif kind == "Dense":
            dense.append(_load_dense(path))
        elif kind == "Normalize":
            normalize = True
        else:
            raise Unsupported(f"sentence-transformers module {module['type']!r} of {folder} is not supported")

    prompting = _read_optional_json(folder / "config_sentence_transformers.json")
    return SentenceModules(
        pooling=pooling,
        dense=tuple(dense),
        normalize=normalize,
        max_length=transformer.get("max_seq_length"),
        lowercase=bool(transformer.get("do_lower_case", False)),
        prompts={name: text for name, text in (prompting.get("prompts") or {}).items() if text},
        default_prompt_name=prompting.get("default_prompt_name"),
        activation=prompting.get("activation_fn"),
    )


def stated_task(folder: Path, config: PreTrainedConfig) -> tuple[str, str] | None:
    """The task that the files of sentence-transformers state, and where; None where they state none."""
    kind = _read_optional_json(folder / "config_sentence_transformers.json").get("model_type")
    if kind == "SparseEncoder":
        return "sparse-embedding", "config_sentence_transformers.json"
    if kind == "CrossEncoder":
        return "text-ranking", "config_sentence_transformers.json"
    if getattr(config, "sentence_transformers", None) and config.num_labels == 1:
        return "text-ranking", "config.json, which a CrossEncoder wrote"
    if (folder / "modules.json").is_file():
        return "feature-extraction", "modules.json"
    return None


def _pooling_mode(config: dict[str, Any]) -> str:
    """The pooling of a `1_Pooling/config.json`, in its present form (`pooling_mode`) or the older one (a flag a
    mode)."""
    if not config.get("include_prompt", True):
        raise Unsupported("pooling with include_prompt=false is not supported")
    if "pooling_mode" in config:
        stated = config["pooling_mode"]
        modes = [stated] if isinstance(stated, str) else list(stated)
    else:
        flags = [key for key, on in config.items() if key.startswith("pooling_mode_") and on]
        modes = [_POOLING_FLAGS.get(flag, flag) for flag in flags] or ["mean"]
    if len(modes) != 1 or modes[0] not in POOLINGS:
        raise Unsupported(f"pooling {', '.join(modes)} is not supported; supported are {', '.join(POOLINGS)}")
    return str(modes[0])


def _check_splade(config: dict[str, Any]) -> None:
    """Refuse a sparse pooling that is not max over tokens of log(1 + max(0, logit))."""
    stated = config.get("pooling_strategy", "max"), config.get("activation_function", "relu")
    if stated != ("max", "relu"):
        raise Unsupported(f"SpladePooling with {stated[0]} and {stated[1]} is not supported; supported is max and relu")


def _load_dense(folder: Path) -> nn.Module:
    config = _read_json(folder / "config.json")
    stated = config.get("activation_function", "torch.nn.modules.activation.Tanh")
    if stated not in _ACTIVATIONS:
        raise Unsupported(
            f"activation {stated!r} of {folder} is not supported; supported are {', '.join(_ACTIVATIONS)}"
        )
    if config.get("use_residual"):
        raise Unsupported(f"the dense layer of {folder} has a residual connection, which is not supported")
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise CheckpointError(f"{folder} has no model.safetensors")
    linear = nn.Linear(config["in_features"], config["out_features"], bias=config.get("bias", True))
    linear.load_state_dict(
        {name.removeprefix("linear."): tensor.float() for name, tensor in load_file(weights).items()}
    )
    return nn.Sequential(linear, _ACTIVATIONS[stated]()).requires_grad_(False).to(torch.float32)


def _read_json(file: Path) -> Any:
    if not file.is_file():
        raise CheckpointError(f"{file} is missing; modules.json of the checkpoint names it")
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{file} is not valid JSON: {error}") from error


def _read_optional_json(file: Path) -> dict[str, Any]:
    return dict(_read_json(file)) if file.is_file() else {}
