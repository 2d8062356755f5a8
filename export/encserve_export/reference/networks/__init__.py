"""Networks that the libraries do not have. Importing this makes them known to transformers' Auto classes."""

from __future__ import annotations

import json
from pathlib import Path

from . import jina_bert

_OWN = (jina_bert.MODEL_TYPE,)


def own_network(folder: Path) -> str | None:
    """The model type of the checkpoint in `folder` where its network is one of these; None where a library has it."""
    file = folder / "config.json"
    stated = json.loads(file.read_text(encoding="utf-8")).get("model_type") if file.is_file() else None
    return stated if stated in _OWN else None
