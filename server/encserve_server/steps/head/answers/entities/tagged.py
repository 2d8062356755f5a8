"""The head of token-classification: logits of tokens to entities of the text.

The rules, the quirks among them, are those of transformers' token-classification pipeline.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....request.options import Options
from ...fit import Fit, text_of
from ..bytes_tensor import bytes_tensor
from ..scores import Floats, softmax

OUTSIDE = "O"
"""The label of tokens that belong to no entity."""


@dataclass(frozen=True)
class Entity:
    """A token, a word or a group of these, with its label."""

    label: str
    score: float
    start: int
    """The index of its first character in the text, as Python counts."""
    end: int


class Head:
    """Entities, tokens aggregated as each request wants it."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._labels: list[str] = settings["labels"]
        self.fit = Fit(
            {
                "logits": ("tokens", len(self._labels)),
                "row_count": ("texts",),
                "offsets": ("tokens", 2),
                "continues": ("tokens",),
                "text": ("texts",),
            },
            {"row_count": "tokens"},
        )

    def answer(self, inputs: Mapping[str, NDArray[Any]], options: Options) -> dict[str, NDArray[Any]]:
        """Return `entity_count` (n,) of n texts and the tensors of all their E entities, text after text, from the
        logits (T, C).

        A text in windows has its tokens one window after another, each in its place once.
        """
        probabilities = softmax(inputs["logits"])
        ends = np.cumsum(inputs["row_count"])
        found: list[tuple[str, Entity]] = []
        counts = []
        for raw, begin, end in zip(inputs["text"], ends - inputs["row_count"], ends, strict=True):
            tokens = slice(begin, end)
            entities = find_entities(
                probabilities[tokens],
                inputs["offsets"][tokens],
                inputs["continues"][tokens],
                self._labels,
                options["aggregation"],
            )
            text = text_of(raw) if entities else ""
            found += [(text[entity.start : entity.end], entity) for entity in entities]
            counts.append(len(entities))
        return {
            "entity_count": np.array(counts, np.int32),
            "label": bytes_tensor([entity.label for _, entity in found]),
            "entity": bytes_tensor([text for text, _ in found]),
            "score": np.array([entity.score for _, entity in found], np.float32),
            "start": np.array([entity.start for _, entity in found], np.int32),
            "end": np.array([entity.end for _, entity in found], np.int32),
        }


def find_entities(
    probabilities: Floats,
    offsets: NDArray[np.int32],
    continues: NDArray[np.int32],
    labels: Sequence[str],
    aggregation: str,
) -> list[Entity]:
    """Return the entities of one text of t tokens.

    Args:
        probabilities: The probabilities of each label, (t, C).
        offsets: The places of each token in the text, (t, 2); -1 for special tokens.
        continues: Whether each token belongs to the word of the one before, (t,).
        labels: The names of the C columns.
        aggregation: "none" for tokens; "simple" joins neighbours of one label; "first", "average" and "max" give each
            word the label of its first token, of its mean, or of its surest token, and then join neighbours.
    """
    kept = np.flatnonzero(offsets[:, 0] >= 0)
    probabilities, offsets, continues = probabilities[kept], offsets[kept], continues[kept]
    if aggregation in _OF_WORD:
        groups = list(_words(continues))
        rows = [_OF_WORD[aggregation](probabilities[word]) for word in groups]
    else:
        groups = [slice(index, index + 1) for index in range(len(kept))]
        rows = list(probabilities)
    entities = []
    for group, row in zip(groups, rows, strict=True):
        best = int(row.argmax())
        entities.append(Entity(labels[best], float(row[best]), int(offsets[group][0, 0]), int(offsets[group][-1, 1])))
    if aggregation != "none":
        entities = [_joined(group) for group in _neighbours(entities)]
    return [entity for entity in entities if entity.label != OUTSIDE]


def _words(continues: NDArray[np.int32]) -> Iterator[slice]:
    """Return the tokens of each word."""
    starts = [0, *(index for index in range(1, len(continues)) if not continues[index])]
    for start, end in zip(starts, [*starts[1:], len(continues)], strict=True):
        if end > start:
            yield slice(start, end)


_OF_WORD = {
    "first": lambda rows: rows[0],
    "average": lambda rows: rows.mean(0),
    "max": lambda rows: rows[rows.max(1).argmax()],
}
"""Aggregation -> the function that makes the probabilities of a word (C,) out of those of its tokens (t, C)."""


def _neighbours(entities: Sequence[Entity]) -> Iterator[list[Entity]]:
    """Return runs of one label; a label that begins with B- opens a new run."""
    run: list[Entity] = []
    for entity in entities:
        if run and (entity.label.startswith("B-") or _tag(entity.label) != _tag(run[-1].label)):
            yield run
            run = []
        run.append(entity)
    if run:
        yield run


def _tag(label: str) -> str:
    return label[2:] if label.startswith(("B-", "I-")) else label


def _joined(run: Sequence[Entity]) -> Entity:
    score = float(np.mean([entity.score for entity in run]))
    return Entity(run[0].label.split("-", 1)[-1], score, run[0].start, run[-1].end)
