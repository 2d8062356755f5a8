"""The head of entities of labels that a request brings: scores of spans, or of words, to entities."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....request.options import InvalidArgument, Options
from ...fit import Fit, text_of
from ..bytes_tensor import bytes_tensor
from ..scores import Floats, sigmoid
from .chosen_runs import PARTS, find_runs
from .chosen_spans import Found, find_spans

WORD = 1
"""The role of a token that begins a word, whose row has its scores."""
OF_SPANS, OF_WORDS = "spans", "words"
"""What has the scores."""
MOST_ENTITIES = 65_536
"""Of the texts of one request."""
MOST_CHARACTERS = 16 * 1024 * 1024
"""Of all entities of one request: where they may be nested and a span may have several labels, each may be nearly as
long as its text."""


class Head:
    """Entities whose score is above the threshold, flat or nested in each other."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        stated = settings["entities"]
        of_words = stated["scores"] == OF_WORDS
        self._rows: int = PARTS if of_words else stated["max_width"]
        self._find = find_runs if of_words else find_spans
        self._most: int = stated["most_labels"]
        self.fit = Fit(
            {
                "logits": ("tokens", self._rows * self._most),
                "entity_roles": ("tokens",),
                "lengths": ("texts",),
                "text": ("texts",),
                "word_count": ("texts",),
                "word_offsets": ("words", 2),
            },
            {"lengths": "tokens"},
        )

    def answer(self, inputs: Mapping[str, NDArray[Any]], options: Options) -> dict[str, NDArray[Any]]:
        """Return `entity_count` (n,) of n texts and the tensors of all their E entities, text after text, in the order
        in which they begin, from the logits (T, K * M) for M labels: of the spans of K widths that begin at a word, or
        of the K parts that a word may be of an entity.

        Raises InvalidArgument: the tensors do not fit together, or there are more entities than an answer may have, as
        with a threshold near 0.
        """
        labels: list[str] = options["labels"]
        at_words = np.flatnonzero(inputs["entity_roles"] == WORD)
        offsets, counts = inputs["word_offsets"], inputs["word_count"]
        if len(at_words) != len(offsets) or int(counts.sum(dtype=np.int64)) != len(offsets) or (counts < 0).any():
            raise InvalidArgument(
                f"entity_roles has {len(at_words)} words, word_offsets {len(offsets)} and word_count "
                f"{int(counts.sum(dtype=np.int64))}; as many of each are expected"
            )
        logits = inputs["logits"][at_words].reshape(-1, self._rows, self._most)[..., : len(labels)]
        scores, ends = sigmoid(logits), np.cumsum(counts)
        spans: list[Found] = []
        places: list[tuple[int, int]] = []
        texts, of_texts, characters = [], [], 0
        having = self.having(inputs)
        for raw, begin, end, has in zip(inputs["text"], ends - counts, ends, having, strict=True):
            found = self.find(scores[begin:end], options) if has else []
            own = [(int(offsets[begin + each.first, 0]), int(offsets[begin + each.last, 1])) for each in found]
            there = [first < last for first, last in own]
            characters += sum(last - first for first, last in compress(own, there))
            if len(spans) + sum(there) > MOST_ENTITIES or characters > MOST_CHARACTERS:
                raise InvalidArgument(
                    f"with threshold {options['threshold']:g} the texts have more than {MOST_ENTITIES:,} entities, or "
                    f"entities of more than {MOST_CHARACTERS:,} characters, which is the most of one request; ask with "
                    "a higher threshold, or about fewer texts or labels at a time"
                )
            text = text_of(raw) if any(there) else ""
            spans += compress(found, there)
            places += compress(own, there)
            texts += [text[first:last] for first, last in compress(own, there)]
            of_texts.append(sum(there))
        return {
            "entity_count": np.array(of_texts, np.int32),
            "label": bytes_tensor([labels[each.label] for each in spans]),
            "entity": bytes_tensor(texts),
            "score": np.array([each.score for each in spans], np.float32),
            "start": np.array([first for first, _ in places], np.int32),
            "end": np.array([last for _, last in places], np.int32),
        }

    def having(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
        """Return of which texts the network says that they may have entities, (n,)."""
        return np.ones(len(inputs["text"]), bool)

    def find(self, scores: Floats, options: Options) -> list[Found]:
        """Return the entities of one text, in the order in which they begin."""
        return self._find(
            scores, threshold=options["threshold"], nested=options["nested"], multi_label=options["multi_label"]
        )
