"""Adapters in the files that PEFT writes, with random matrices."""

import json

import torch
from safetensors.torch import save_file

ATTENTION = ("query", "value", "q_lin", "v_lin", "Wqkv", "q", "v", "q_proj", "v_proj", "qkv_proj")
"""Linear layers of attention, as families call them."""


def write_adapter(folder, model, *, rank=4, targets=ATTENTION, tables=(), seed=0, heads=(), prefix="", **config):
    """Write an adapter of `model` for its linear layers whose names end with one of `targets`, for its `tables` of
    tokens likewise, and for the modules of its head in `heads`; the name of each module begins with `prefix`."""
    generator = torch.Generator().manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    stated = {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": 2 * rank,
        "bias": "none",
        "target_modules": [*targets],
        "base_model_name_or_path": "some/base",
        "init_lora_weights": True,
    }
    tensors = {}
    for name, layer in model.named_modules():
        if isinstance(layer, torch.nn.Linear) and name.rpartition(".")[2] in targets:
            narrow = torch.randn(rank, layer.in_features, generator=generator) / layer.in_features**0.5
            wide = torch.randn(layer.out_features, rank, generator=generator) / rank**0.5
            tensors |= {f"{name}.lora_A.weight": narrow, f"{name}.lora_B.weight": wide}
        elif isinstance(layer, torch.nn.Embedding) and name.rpartition(".")[2] in tables:
            narrow = torch.randn(rank, layer.num_embeddings, generator=generator)
            wide = torch.randn(layer.embedding_dim, rank, generator=generator) / rank
            tensors |= {f"{name}.lora_embedding_A": narrow, f"{name}.lora_embedding_B": wide}
    for name, tensor in model.state_dict().items():
        if name.startswith(heads and tuple(f"{head}." for head in heads)):
            tensors[name] = torch.randn(tensor.shape, generator=generator)
    named = {f"base_model.model.{prefix}{name}": tensor for name, tensor in tensors.items()}
    save_file(named, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(stated | config))
    return folder
