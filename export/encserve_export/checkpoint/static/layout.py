"""Which checkpoints are static embeddings: those whose first module of sentence-transformers is a StaticEmbedding, and
those that model2vec saved without any modules."""

from __future__ import annotations

from pathlib import Path

from encserve_export.checkpoint.sentence.listed import listed_modules
from encserve_export.checkpoint.sentence.model2vec import is_model2vec

MODULE = "StaticEmbedding"


def is_static(folder: Path) -> bool:
    """Whether the checkpoint in `folder` is one of static embeddings. Raises as `listed_modules`."""
    if (folder / "modules.json").is_file():
        return any(module.kind == MODULE for module in listed_modules(folder).modules[:1])
    return is_model2vec(folder)
