"""How a text and the labels of a request become one row of tokens, as the steps need to know it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from encserve_export.attention.families import Family
from encserve_export.errors import CheckpointError, InvalidConfig
from encserve_server.steps.head.answers.entities.labelled_entities import OF_SPANS, OF_WORDS
from encserve_server.steps.tokenize.parts.words import words_of

from .head import guessed_roles
from .layout import GLINER, GlinerSettings
from .scores import MOST_LABELS

_UNSTATED = 10**9
"""transformers gives 1e30 where a tokenizer states no length."""
_TOKENS_OF_WORD, _TOKENS_OF_LABELS = 2, 256
"""How long rows are where nobody says it: the library reads as many words as it is told, whatever their tokens are."""


def settings_of(settings: GlinerSettings, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """What the tokenize and the head step know of a checkpoint.

    Raises:
        CheckpointError: the tokenizer takes the marker of labels apart, or has another token for it.
    """
    markers, separators = (_ids(tokenizer, word) for word in (settings.marker, settings.separator))
    if len(markers) != 1 or settings.marker_id not in (None, markers[0]):
        raise CheckpointError(
            f"the tokenizer makes tokens {markers} of the marker {settings.marker!r}, which {GLINER} names as one token"
            + (f", {settings.marker_id}" if settings.marker_id is not None else "")
        )
    return {
        "marker": markers,
        "separator": separators,
        "max_words": settings.max_words,
        "scores": OF_WORDS if settings.of_words else OF_SPANS,
        **({} if settings.of_words else {"max_width": settings.max_width}),
        "most_labels": MOST_LABELS,
    }


def length_of(
    asked: int | None,
    max_words: int,
    tokenizer: PreTrainedTokenizerBase,
    config: PreTrainedConfig,
    family: Family,
) -> int:
    """Tokens of a row, labels and special tokens included: what is `asked`, else two for each word that counts and some
    for labels, within what the tokenizer and the network take.

    Raises:
        InvalidConfig: more is asked than the network takes.
    """
    reach = family.longest(config)
    if asked is not None:
        if reach is not None and asked > reach:
            raise InvalidConfig(f"--max-length {asked}: the network takes {reach} tokens at most")
        return asked
    stated = int(tokenizer.model_max_length)
    known = [_TOKENS_OF_WORD * max_words + _TOKENS_OF_LABELS, reach, stated if stated < _UNSTATED else None]
    return min(each for each in known if each is not None)


def row_of(
    tokenizer: PreTrainedTokenizerBase, stated: dict[str, Any], labels: Sequence[str], text: str, max_length: int
) -> list[int]:
    """The tokens of a text with its labels before it: as many of its words as there is room for."""
    around = tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
    ids: list[int] = tokenizer("a")["input_ids"]
    ahead = around.index(0)
    behind = len(around) - ahead - around.count(0)
    row = [*ids[:ahead]]
    for label in labels:
        row += [*stated["marker"], *_ids(tokenizer, label)]
    row += stated["separator"]
    for word, _, _ in words_of(text, stated["max_words"]):
        own = _ids(tokenizer, word)
        if len(row) + len(own) + behind > max_length:
            break
        row += own
    row += ids[len(ids) - behind :]
    return row


def roles_of(input_ids: NDArray[np.int64], stated: dict[str, Any]) -> NDArray[np.int64]:
    """What the tokens (t,) of a row may be to the head."""
    (marker,) = stated["marker"]
    separator = (stated["separator"] or [marker])[-1]
    roles: NDArray[np.int64] = guessed_roles(torch.from_numpy(np.asarray(input_ids)), marker, separator).numpy()
    return roles


def _ids(tokenizer: PreTrainedTokenizerBase, word: str) -> list[int]:
    """The tokens of one word, as of a text that is given as words."""
    ids: list[int] = tokenizer([word], is_split_into_words=True, add_special_tokens=False)["input_ids"]
    return ids
