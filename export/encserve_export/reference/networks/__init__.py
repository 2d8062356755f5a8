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
GLINER2 = "GLiNER2"
"""Likewise, of that library: `gliner2`."""
_MODULES = {JINA_BERT_V2: "jina_bert", NOMIC_MOE: "nomic_moe", GLINER: "gliner", GLINER2: "gliner2"}
_STATED = {JINA_BERT_V2: JINA_BERT_V2, NOMIC_MOE: NOMIC_MOE, "extractor": GLINER2}
"""The `model_type` of such a checkpoint -> the network that it has."""


def own_network(folder: Path) -> str | None:
    """Which of these the network of the checkpoint in `folder` is; None where a library has it."""
    if (folder / "gliner_config.json").is_file():
        return GLINER
    file = folder / "config.json"
    stated = json.loads(file.read_text(encoding="utf-8")).get("model_type") if file.is_file() else None
    return _STATED.get(str(stated))


def make_known(model_type: str) -> None:
    """Let transformers' Auto classes have the network of `model_type`: it is imported, for its checkpoints alone."""
    import_module(f"{__package__}.{_MODULES[model_type]}")
