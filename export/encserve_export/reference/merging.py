"""An adapter merged into the weights of a network, as PEFT merges it: W + B A alpha / r, or over the root of r.

Read here by its own means, so that the certificate does not compare our reading of an adapter with itself.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

_PREFIX = "base_model.model."


def merge(network: torch.nn.Module, adapter: Path) -> None:
    """Change the weights of `network` to those with the adapter in a folder.

    Raises:
        KeyError: the network lacks a tensor that the adapter changes.
    """
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    parameters = dict(network.named_parameters())
    with torch.no_grad(), safe_open(adapter / "adapter_model.safetensors", "pt") as file:
        for key in file.keys():  # noqa: SIM118
            if key.endswith(("lora_B.weight", "lora_embedding_B")):
                continue
            if not key.endswith(("lora_A.weight", "lora_embedding_A")):
                _parameter(parameters, key).copy_(file.get_tensor(key))
                continue
            of_table = key.endswith("lora_embedding_A")  # which PEFT keeps the other way round
            other = key.replace("lora_embedding_A", "lora_embedding_B") if of_table else key.replace("lora_A", "lora_B")
            narrow, wide = file.get_tensor(key).double(), file.get_tensor(other).double()
            rank = narrow.shape[0]
            scale = config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank)
            name = key.replace(".lora_embedding_A", ".weight") if of_table else key.replace(".lora_A", "")
            weight, added = _parameter(parameters, name), wide @ narrow
            weight.copy_((weight.double() + scale * (added.T if of_table else added)).float())


def merge_task(network: Any, original: Path, task: str) -> None:
    """Change the weights of `network` to those for a task of the checkpoint in the folder `original`, whose weights
    hold the matrices of all of its tasks. They are merged by the names that they have there, and transformers reads
    what comes of it.

    Raises:
        ValueError: the checkpoint has no such task.
    """
    stated = json.loads((original / "config.json").read_text(encoding="utf-8"))
    number, scale = stated["lora_adaptations"].index(task), stated["lora_alpha"] / stated["lora_rank"]
    merged = {}
    with safe_open(original / "model.safetensors", "pt") as file:
        for key in file.keys():  # noqa: SIM118
            layer, is_adapted, part = key.partition(".parametrizations.weight.")
            tensor = file.get_tensor(key)
            if not is_adapted:
                merged[key] = tensor
            elif part == "original":
                a, b = (file.get_tensor(f"{layer}{is_adapted}0.lora_{side}")[number].double() for side in "AB")
                added = a @ b if layer.endswith("_embeddings") else b @ a
                merged[f"{layer}.weight"] = (tensor.double() + scale * added).float()
    read = type(network).from_pretrained(None, config=network.config, state_dict=merged, dtype=torch.float32)
    network.load_state_dict(read.state_dict())


def _parameter(parameters: dict[str, torch.nn.Parameter], key: str) -> torch.nn.Parameter:
    """The parameter of that name; an adapter may have been trained on the network without its head, or with another."""
    name = key.removeprefix(_PREFIX)
    found = [parameters[each] for each in parameters if each == name or each.endswith(f".{name}")]
    found = found or [parameters[each] for each in parameters if name.endswith(f".{each}")]
    if len(found) != 1:
        raise KeyError(f"{name} of the adapter is {len(found)} parameters of the network; one is expected")
    return found[0]
