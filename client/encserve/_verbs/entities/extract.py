"""`extract_entities`: the entities of texts, of labels that the caller chooses."""

from __future__ import annotations

import json
from collections.abc import Sequence

from encserve._verbs.classify_tokens import decode_entities
from encserve._verbs.options import CallOptions, TruncateOption
from encserve._verbs.verb import TEXTS, Given, Verb


class ExtractEntitiesOptions(TruncateOption, CallOptions, total=False):
    """The keywords of `extract_entities`."""

    threshold: float | None
    """What the score of an entity must be above; where words have the scores, those of its start and its end, and none
    of its words may be in it with less; of GLiNER2 what it must be at least. A number above 0, at most 1; 0.5 without
    it."""
    nested: bool | None
    """Whether entities may lie within each other; otherwise none overlaps another, of GLiNER2 one of its own label."""
    multi_label: bool | None
    """Whether a span may have several labels; otherwise it has its surest. No option of GLiNER2: there it may."""
    descriptions: Sequence[str] | None
    """What the labels mean, in words, one for each; of GLiNER2 alone."""


_AROUND = 16
"""Tokens before each text beside the labels and their markers: a separator, or the brackets of GLiNER2."""


def _tokens_of_labels(given: Given) -> int:
    """Before each text stand all labels, each behind a marker, what stands around them, and what is said of them."""
    labels, descriptions = (json.loads(str(given.get(name, "[]"))) for name in ("labels", "descriptions"))
    said = zip(labels, descriptions, strict=False)
    about = sum(_AROUND + len(label.encode()) + len(text.encode()) for label, text in said)
    return sum(1 + len(label.encode()) for label in labels) + _AROUND + about


EXTRACT_ENTITIES = Verb(
    name="extract_entities",
    task="zero-shot-token-classification",
    about="""Find entities of labels that the model was not trained for, with their places as Python string indices.

    Entities come in the order in which they begin. All labels of a call are read before each text, and count against
    its tokens.
    """,
    arguments={
        "texts": TEXTS["texts"],
        "labels": "At most 64 labels, each once.",
        "model": TEXTS["model"],
    },
    keywords=ExtractEntitiesOptions,
    outputs=lambda given: ("entity_count", "label", "entity", "score", "start", "end"),
    decode=decode_entities,
    tokens_ahead=_tokens_of_labels,
)
