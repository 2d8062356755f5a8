"""The configuration of an adapter, as PEFT writes it beside its weights: what is read of it, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from encserve_export.errors import CheckpointError, Unsupported

CONFIG_FILE = "adapter_config.json"
_READ = (
    "peft_type",
    "r",
    "lora_alpha",
    "use_rslora",
    "rank_pattern",
    "bias",
    "init_lora_weights",
    "base_model_name_or_path",
)
_SAYING_NOTHING = (
    *("task_type", "auto_mapping", "peft_version", "revision", "inference_mode"),
    *("lora_dropout", "megatron_core", "qalora_group_size", "runtime_config", "eva_config"),
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "modules_to_save"),
)
"""Of training, or what the names of the tensors say themselves."""
_INITIALISED = (True, False, None, "gaussian", "orthogonal", "eva")
"""How matrices may have begun: other ways change the weights of the base, too."""


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """What is needed of it."""

    rank: int
    """Of the matrices of a module for which `ranks_differ` does not hold."""
    alpha: float
    root_of_rank: bool
    """Whether the product is divided by the root of the rank, as of rank-stabilised LoRA, and not by the rank."""
    ranks_differ: bool
    """Whether some modules have another rank, which their matrices say."""
    base: str
    """What the adapter says that it was trained on; empty where it does not."""

    def scale(self, rank: int) -> float:
        """The factor of the product of a module whose matrices have `rank`."""
        return float(self.alpha / (rank**0.5 if self.root_of_rank else rank))


def read_lora_config(name: str, folder: Path) -> LoraConfig:
    """Read the configuration of the adapter `name` in its folder.

    Raises:
        CheckpointError: there is none, or it cannot be read.
        Unsupported: it is no LoRA, or asks for something that is not served; the message names it.
    """
    file = folder / CONFIG_FILE
    try:
        stated = json.loads(file.read_text(encoding="utf-8"))
        rank, alpha = int(stated["r"]), float(stated["lora_alpha"])
    except FileNotFoundError:
        raise CheckpointError(
            f"--adapter {name}: {folder} has no {CONFIG_FILE}; a folder as PEFT saves an adapter is expected"
        ) from None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise _other_kind(name, file, error) from error
    _check(name, stated)
    if rank < 1:
        raise CheckpointError(f"--adapter {name}: r of {file} is {rank}; 1 or more is expected")
    return LoraConfig(
        rank=rank,
        alpha=alpha,
        root_of_rank=bool(stated.get("use_rslora")),
        ranks_differ=bool(stated.get("rank_pattern")),
        base=str(stated.get("base_model_name_or_path") or ""),
    )


def _other_kind(name: str, file: Path, error: Exception) -> CheckpointError | Unsupported:
    """Why a configuration without a rank is none: it is of another kind of adapter, or damaged."""
    try:
        kind = json.loads(file.read_text(encoding="utf-8")).get("peft_type")
    except (OSError, ValueError, AttributeError):
        kind = None
    if kind not in (None, "LORA"):
        return Unsupported(f"--adapter {name}: its peft_type is {kind!r}, and only LORA is served")
    return CheckpointError(f"--adapter {name}: {file} cannot be read: {error!r}")


def _check(name: str, stated: Mapping[str, Any]) -> None:
    """Refuse by name what would be lost. Raises Unsupported."""
    if stated.get("peft_type") != "LORA":
        raise Unsupported(f"--adapter {name}: its peft_type is {stated.get('peft_type')!r}, and only LORA is served")
    if stated.get("bias") not in (None, "none"):
        raise Unsupported(
            f"--adapter {name}: bias is {stated['bias']!r}: it has biases of its own, which are not served"
        )
    if (began := stated.get("init_lora_weights")) not in _INITIALISED:
        raise Unsupported(
            f"--adapter {name}: init_lora_weights is {began!r}, by which the weights of the base change, too; "
            "convert it to plain LoRA, as PEFT's path_initial_model_for_weight_conversion does"
        )
    others = [key for key, value in stated.items() if value and key not in (*_READ, *_SAYING_NOTHING)]
    if others:
        shown = ", ".join(f"{key} = {stated[key]!r}" for key in sorted(others))
        raise Unsupported(f"--adapter {name}: {shown} is not served: what it computes would be lost")
