"""What `config.json` says of a GLiNER2 checkpoint, of which no key is passed over in silence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from encserve_export.checkpoint.unread.checking import check_keys
from encserve_export.checkpoint.unread.keys import Unread
from encserve_export.errors import CheckpointError, Unsupported
from encserve_export.json_file import checked_object, read_needed_object

CONFIG = "config.json"
KIND = "extractor"
"""The `model_type` of the library."""
COUNTINGS = ("count_lstm", "count_lstm_v2", "count_lstm_moe")
"""The layers that make what spans are held against out of the vectors of labels."""

_SPANS = "markerV0"
_READ = ("model_type", "max_width", "span_head", "counting_layer")
_LISTED = (
    Unread("names the encoder that it was trained from, of which the configuration is here", ("model_name",)),
    Unread("names the network", ("architecture",), ("span", None)),
    Unread("counts the changes of the file's own form", ("architecture_version", "config_version")),
    Unread("chooses the vector of a word", ("token_pooling",), ("first",)),
    Unread("bounds texts of training; the library reads texts of any length otherwise", ("max_len",)),
    Unread("names the checkpoint", ("name", "_name_or_path", "transformers_version", "architectures")),
    Unread("says in which numbers it was saved", ("torch_dtype", "dtype")),
    Unread("chooses one way of several to the same numbers", ("attn_implementation", "_attn_implementation*")),
)
_LISTED_OF_SPANS = (
    Unread("chooses the vector of a span", ("span_mode",), (_SPANS,)),
    Unread("is of training", ("dropout",)),
)


@dataclass(frozen=True, kw_only=True)
class Gliner2Settings:
    """What the head of a GLiNER2 checkpoint is."""

    max_width: int
    """Words of the longest entity."""
    counting: str
    """Which of `COUNTINGS` it has."""

    of_words: ClassVar[bool] = False
    """Whether words have the scores, and not spans."""
    max_words: ClassVar[int] = 384
    """Words of a text for which rows have room where nobody says how long they are: those of a piece of a long text, as
    the library cuts it; what it is given whole it reads whole."""

    @property
    def found(self) -> str:
        """What may be an entity, in words."""
        return f"spans of 1 to {self.max_width} words"


def is_gliner2(folder: Path) -> bool:
    """Whether the checkpoint in `folder` is one of the library GLiNER2."""
    file = folder / CONFIG
    return file.is_file() and read_needed_object(file).get("model_type") == KIND


def read_gliner2(folder: Path) -> Gliner2Settings:
    """What the checkpoint in `folder` says.

    Raises:
        Unsupported: a network of the library that is not served, or a key that nothing reads.
        CheckpointError: a number is none.
    """
    file = folder / CONFIG
    stated = read_needed_object(file)
    if (architecture := stated.get("architecture") or "span") != "span":
        known = ", that of GLiNER2.5" if architecture == "boundary" else ""
        raise Unsupported(
            f"{file} states architecture {architecture!r}{known}, which is not served. Served are GLiNER2's networks "
            "with architecture 'span'"
        )
    check_keys(file, stated, _READ, _LISTED)
    of_spans = checked_object(file, stated.get("span_head") or {})
    check_keys(file, of_spans, ("max_width",), _LISTED_OF_SPANS)
    if (counting := stated.get("counting_layer") or COUNTINGS[0]) not in COUNTINGS:
        raise Unsupported(
            f"{file} states counting_layer {counting!r}, which is not served. Served are {', '.join(COUNTINGS)}"
        )
    return Gliner2Settings(max_width=_max_width(file, stated, of_spans), counting=counting)


def _max_width(file: Path, stated: Mapping[str, Any], of_spans: Mapping[str, Any]) -> int:
    value = of_spans.get("max_width", stated.get("max_width") or 8)
    if type(value) is not int or value < 1:
        raise CheckpointError(f"{file} states max_width {value!r}; a whole number from 1 on is expected")
    return value
