"""How a text and the labels of a request become one row of tokens, as the steps need to know it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from encserve_export.checkpoint.gliner.head import LABEL, WORD
from encserve_export.checkpoint.gliner.scores import MOST_LABELS
from encserve_export.errors import CheckpointError
from encserve_server.steps.head.answers.entities.labelled_entities import OF_SPANS
from encserve_server.steps.tokenize.layouts.gliner2_texts import GATE, about, ended
from encserve_server.steps.tokenize.parts.gliner2_words import words_of

from .laying_out import ADDED
from .layout import Gliner2Settings

_OPENING, _BETWEEN = ("(", "[P]"), "("
_CLOSING = (")", ")", "[SEP_TEXT]")
_OF_ALL_LABELS, _OF_A_LABEL = "[P]", "[E]"


def settings_of(settings: Gliner2Settings, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """What the tokenize and the head step know of a checkpoint.

    Raises:
        CheckpointError: the tokenizer takes one of the library's tokens apart.
    """
    for token in ADDED:
        if len(made := _ids(tokenizer, token)) != 1:
            raise CheckpointError(f"the tokenizer makes tokens {made} of {token!r}, which is one token of GLiNER2")
    opening = [(token, id_) for token in _OPENING for id_ in _ids(tokenizer, token)]
    return {
        "marker": _ids(tokenizer, _OF_A_LABEL),
        "separator": [id_ for token in _CLOSING for id_ in _ids(tokenizer, token)],
        "opening": [id_ for _, id_ in opening],
        "opening_roles": [GATE if token == _OF_ALL_LABELS else 0 for token, _ in opening],
        "between": _ids(tokenizer, _BETWEEN),
        "reserved": [id_ for token in ADDED for id_ in _ids(tokenizer, token)],
        "scores": OF_SPANS,
        "max_width": settings.max_width,
        "most_labels": MOST_LABELS,
    }


def row_of(
    tokenizer: PreTrainedTokenizerBase,
    stated: dict[str, Any],
    labels: Sequence[str],
    text: str,
    max_length: int,
    descriptions: Sequence[str] = (),
) -> list[int]:
    """The tokens of a text with its labels before it: as many of its words as there is room for."""
    row = [*stated["opening"], *_ids(tokenizer, about(labels, descriptions)), *stated["between"]]
    for label in labels:
        row += [*stated["marker"], *_ids(tokenizer, label)]
    row += stated["separator"]
    for word, _, _ in words_of(ended(text)):
        own = _ids(tokenizer, word)
        if len(row) + len(own) > max_length:
            break
        row += own
    return row


def roles_of(input_ids: NDArray[np.int64], stated: dict[str, Any]) -> NDArray[np.int64]:
    """What the tokens (t,) of one row may be to the head, where nobody says which begin words: brackets are told by
    their tokens, and each token behind the last of them is taken for a word."""
    gate = stated["opening"][stated["opening_roles"].index(GATE)]
    closed = input_ids == stated["separator"][-1]
    words = (closed.cumsum() > 0) & ~closed
    roles = np.where(words, WORD, np.where(input_ids == stated["marker"][0], LABEL, 0))
    return np.where(input_ids == gate, GATE, roles)


def _ids(tokenizer: PreTrainedTokenizerBase, word: str) -> list[int]:
    """The tokens of a word by itself, with nothing around."""
    ids: list[int] = tokenizer(word, add_special_tokens=False)["input_ids"]
    return ids
