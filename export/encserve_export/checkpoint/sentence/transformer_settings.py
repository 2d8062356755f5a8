"""The settings of a sentence-transformers Transformer module: how long a text may be, and in which case it is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from encserve_export.checkpoint.json_file import read_object
from encserve_export.checkpoint.unread.checking import check_keys
from encserve_export.checkpoint.unread.keys import PROCESSING_KEYS, TRANSFORMER_KEYS
from encserve_export.errors import Unsupported

_FILES = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
"""In the order in which sentence-transformers looks for one that states something."""
_READ = ("max_seq_length", "do_lower_case", "processing_kwargs")


@dataclass(frozen=True)
class TransformerSettings:
    """What a Transformer module does with a text before the network sees it."""

    max_length: int | None = None
    """Tokens of a text that the network sees, special tokens included; None leaves it to the tokenizer."""
    lowercase: bool = False


def read_transformer_settings(folder: Path, path: str) -> TransformerSettings:
    """The settings of the Transformer module that `modules.json` puts at `path` in `folder`.

    Raises:
        Unsupported: the network lies elsewhere than in `folder`, or a setting asks for what is not offered.
        CheckpointError: a file is no JSON.
    """
    if path:
        raise Unsupported(
            f"{folder / 'modules.json'} puts the network into {path}, which is not supported: its config.json, weights "
            "and tokenizer are expected beside modules.json. SentenceTransformer(...).save_pretrained(...) of a "
            "current sentence-transformers puts them there"
        )
    file, stated = next(((each, found) for each in _FILES if (found := read_object(folder / each))), ("", {}))
    check_keys(folder / file, stated, _READ, TRANSFORMER_KEYS)
    cut_at = _processed_length(folder / file, stated.get("processing_kwargs") or {})
    return TransformerSettings(
        max_length=stated.get("max_seq_length") if cut_at is None else cut_at,
        lowercase=bool(stated.get("do_lower_case", False)),
    )


def _processed_length(file: Path, stated: dict[str, Any]) -> int | None:
    """Where `processing_kwargs` cuts a text, which it does whatever else is stated; None where it does not say."""
    check_keys(file, stated, ("text",), ())
    text = stated.get("text") or {}
    check_keys(file, text, ("max_length",), PROCESSING_KEYS)
    return text.get("max_length")
