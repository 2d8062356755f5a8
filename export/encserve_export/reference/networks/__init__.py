"""Networks that the libraries do not have. Importing the module of one makes it known to transformers' Auto classes."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

JINA_BERT_V2 = "jina_bert_v2"
"""The model type of `jina_bert`."""
NOMIC_MOE = "nomic_bert_moe"
"""The model type of `nomic_moe`."""
GLINER = "GLiNER"
"""What stands on an encoder of transformers in the checkpoints of the library of that name: `gliner`."""
_MODULES = {JINA_BERT_V2: "jina_bert", NOMIC_MOE: "nomic_moe", GLINER: "gliner"}


def own_network(folder: Path) -> str | None:
    """The model type of the checkpoint in `folder` where its network is one of these; None where a library has it."""
    if (folder / "gliner_config.json").is_file():
        return GLINER
    file = folder / "config.json"
    stated = json.loads(file.read_text(encoding="utf-8")).get("model_type") if file.is_file() else None
    return stated if stated in _MODULES else None


def make_known(model_type: str) -> None:
    """Let transformers' Auto classes have the network of `model_type`: it is imported, for its checkpoints alone."""
    import_module(f"{__package__}.{_MODULES[model_type]}")
