"""The head of GLiNER2's entities: scores of spans of words to entities, label by label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....request.options import InvalidArgument, Options
from ..scores import Floats
from .chosen_spans import Found, Taken
from .labelled_entities import Head as LabelledEntities

GATE = 3
"""The role of the token that stands for all labels. The first number of its row says whether its text has anything of
them: it is above 0 then."""


class Head(LabelledEntities):
    """Entities whose score is the threshold or more, of texts that have any; spans of different labels do not see each
    other."""

    def having(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
        """Return which texts have anything of the labels, (n,). Raises InvalidArgument."""
        gates: Floats = inputs["logits"][inputs["entity_roles"] == GATE, 0]
        if len(gates) != len(inputs["text"]):
            raise InvalidArgument(
                f"entity_roles has {len(gates)} tokens that stand for all labels of a text; {len(inputs['text'])}, one "
                "of each, are expected"
            )
        return gates > 0

    def find(self, scores: Floats, options: Options) -> list[Found]:
        """Return the entities of one text."""
        return find_spans(scores, threshold=options["threshold"], nested=options["nested"])


def find_spans(scores: Floats, *, threshold: float, nested: bool) -> list[Found]:
    """Return the entities of one text, in the order in which they begin.

    Of each label the surest span comes first, and one that overlaps a surer one of the same label is left out; where
    `nested`, only one that overlaps it and lies neither within nor around it.

    Args:
        scores: Of the spans of 1 to K words that begin at each of w words, for each of C labels, (w, K, C).
        threshold: What a score must be at least.
        nested: Whether entities of a label may lie in each other.
    """
    words, widths, labels = scores.shape
    inside = (np.arange(words)[:, None] + np.arange(widths) < words)[..., None]
    all_firsts, all_lengths, all_labels = np.nonzero((scores >= np.float32(threshold)) & inside)
    found: list[Found] = []
    for label in range(labels):
        own = np.flatnonzero(all_labels == label)
        firsts, lengths = all_firsts[own], all_lengths[own]
        order = np.argsort(-scores[firsts, lengths, label], kind="stable")
        taken = Taken(words, widths, nested=nested)
        found += [
            Found(first, first + length, label, float(scores[first, length, label]))
            for first, length in zip(firsts[order].tolist(), lengths[order].tolist(), strict=True)
            if taken.takes(first, length)
        ]
    return sorted(found, key=lambda each: (each.first, -each.score, each.last, each.label))
