"""The settings of a sentence-transformers Transformer module: how long a text may be, and in which case it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from encserve_export.checkpoint.rerankers.pair_template import Messages
from encserve_export.checkpoint.unread.checking import check_keys
from encserve_export.checkpoint.unread.keys import MODALITY_KEYS, PROCESSING_KEYS, TRANSFORMER_KEYS
from encserve_export.errors import Unsupported
from encserve_export.json_file import read_object

_FILES = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
"""In the order in which sentence-transformers looks for one that states something."""
_READ = ("max_seq_length", "do_lower_case", "processing_kwargs", "modality_config")
_OF_SIDES = ("query_length", "document_length", "query_expansion")
_TEXT, _MESSAGE = "text", "message"


_OF_TOKENIZERS = ("max_length", "padding", "restore_suffix", "return_tensors", "truncation")
"""What `processing_kwargs.chat_template` may hold beside what its template gets."""


@dataclass(frozen=True)
class TransformerSettings:
    """What a Transformer module does with a text before the network sees it."""

    max_length: int | None = None
    """Tokens of a text that the network sees, special tokens included; None leaves it to the tokenizer."""
    lowercase: bool = False
    generates: bool = False
    """Whether it gives the logits of a language model, for a LogitScore."""
    messages: Messages | None = None
    """How texts become messages of a chat, which its template renders; None where they are read as they are."""
    of_sides: Mapping[str, Any] = field(default_factory=dict)
    """Of late interaction the lengths of queries and documents, and how queries are filled up, as they are stated."""


def read_transformer_settings(folder: Path, path: str, *, late: bool = False) -> TransformerSettings:
    """The settings of the Transformer module that `modules.json` puts at `path` in `folder`; `late` where queries and
    documents may have settings of their own.

    Raises:
        Unsupported: a setting asks for what is not offered.
        CheckpointError: a file is no JSON.
    """
    folder /= path
    file, stated = next(((each, found) for each in _FILES if (found := read_object(folder / each))), ("", {}))
    check_keys(folder / file, stated, (*_READ, *(_OF_SIDES if late else ())), TRANSFORMER_KEYS)
    processing = stated.get("processing_kwargs") or {}
    cut_at = _processed_length(folder / file, processing)
    if late and cut_at is not None:
        raise Unsupported(
            f"{folder / file} cuts texts of both kinds at {cut_at} tokens (processing_kwargs), which is not supported"
        )
    return TransformerSettings(
        max_length=stated.get("max_seq_length") if cut_at is None else cut_at,
        lowercase=bool(stated.get("do_lower_case", False)),
        generates=stated.get("transformer_task") == "text-generation",
        of_sides={key: stated[key] for key in _OF_SIDES if key in stated} if late else {},
        messages=_messages(folder / file, stated.get("modality_config") or {}, processing.get("chat_template") or {}),
    )


def _messages(file: Path, modalities: dict[str, Any], arguments: dict[str, Any]) -> Messages | None:
    """How texts become messages. Raises Unsupported: the network is asked otherwise than by its forward."""
    check_keys(file, modalities, (_TEXT, _MESSAGE), ())
    for stated in modalities.values():
        check_keys(file, stated, ("format",), MODALITY_KEYS)
    if _MESSAGE not in modalities:
        check_keys(file, {"chat_template": arguments} if arguments else {}, (), ())
        return None
    check_keys(file, arguments, [name for name in arguments if name not in _OF_TOKENIZERS], ())
    return Messages(modalities[_MESSAGE].get("format", "auto"), arguments)


def _processed_length(file: Path, stated: dict[str, Any]) -> int | None:
    """Where `processing_kwargs` cuts a text, which it does whatever else is stated; None where it does not say."""
    check_keys(file, stated, ("text", "chat_template"), ())
    text = stated.get("text") or {}
    check_keys(file, text, ("max_length",), PROCESSING_KEYS)
    return text.get("max_length")
