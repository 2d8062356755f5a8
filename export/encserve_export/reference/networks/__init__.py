"""Networks that the libraries do not have. Importing the module of one makes it known to transformers' Auto classes."""

from __future__ import annotations

import json
from pathlib import Path

JINA_BERT_V2 = "jina_bert_v2"
"""The model type of `jina_bert`."""
_OWN = (JINA_BERT_V2,)


def own_network(folder: Path) -> str | None:
    """The model type of the checkpoint in `folder` where its network is one of these; None where a library has it."""
    file = folder / "config.json"
    stated = json.loads(file.read_text(encoding="utf-8")).get("model_type") if file.is_file() else None
    return stated if stated in _OWN else None
