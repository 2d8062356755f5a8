"""The lengths of vectors that a checkpoint was trained for (Matryoshka, Kusupati et al. 2022), where its files say so.

`config.json` may state them as `matryoshka_dimensions`, which other servers of embeddings read too. The trainer of
sentence-transformers writes the parameters of its MatryoshkaLoss into the model card, among them `matryoshka_dims`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from transformers import PreTrainedConfig

from encserve_export.errors import CheckpointError

_IN_CARD = re.compile(r'"matryoshka_dims":\s*(\[[\d\s,]*\])')


def trained_dimensions(folder: Path, config: PreTrainedConfig) -> tuple[int, ...]:
    """The stated lengths in ascending order; empty where nothing is stated, so that any may do.

    Raises:
        CheckpointError: `matryoshka_dimensions` of `config.json` is no list of positive whole numbers.
    """
    stated = getattr(config, "matryoshka_dimensions", None)
    if stated is None:
        card = folder / "README.md"
        text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
        stated = [length for listed in _IN_CARD.findall(text) for length in json.loads(listed)]
    if not isinstance(stated, list) or not all(type(length) is int and length > 0 for length in stated):
        raise CheckpointError(
            f"matryoshka_dimensions in {folder / 'config.json'} is {stated!r}; a list of positive whole numbers is "
            "expected"
        )
    return tuple(sorted(set(stated)))
