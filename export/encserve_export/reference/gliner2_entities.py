"""Entities of labels that a request brings, as GLiNER2 chooses them among its scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .messages import Answer, Answered, Asked, Library, Row
from .networks.gliner2 import Gliner2

_PLACES = 64
"""Of labels in a row of the graph that is compared."""


@dataclass(frozen=True)
class _Network:
    parameters: int


class Gliner2Entities:
    """The encoder of transformers in the network that GLiNER2 publishes, and its greedy choice of spans, label by
    label."""

    by, package = "AutoModel", "transformers"

    def __init__(self, library: Library) -> None:
        if library.max_length is None:
            raise ValueError("the library itself reads rows of any length; how long they are here is to be told")
        self._gliner, self._most = Gliner2(library.folder), library.max_length
        self.watched: Any = _Network(sum(tensor.numel() for tensor in self._gliner.network.parameters()))

    def answer(self, asked: Asked) -> Answered:
        """The entities of each text, with where they begin and end, in characters."""
        labels, rows, answers = asked.options["labels"], [], []
        for text in asked.inputs["text"]:
            ids, word_at, places = self._gliner.read(text, labels, self._most, asked.options.get("descriptions"))
            logits, gate = self._gliner.logits(ids, word_at)
            found = _chosen(logits.sigmoid().numpy(), asked.options) if gate > 0 else []
            there = [each for each in found if places[each[0]][0] < places[each[1]][1]]
            keys = tuple(
                (labels[label], places[first][0], places[last][1], text[places[first][0] : places[last][1]])
                for first, last, label, _ in there
            )
            answers.append((Answer("found", np.array([score for *_, score in there], np.float32), keys),))
            rows.append(Row(np.array(ids, np.int64), None, self._row(ids, word_at, logits, gate)))
        return Answered(answers, rows)

    def _row(self, ids: list[int], word_at: list[int], logits: Tensor, gate: float) -> NDArray[np.float32]:
        """The logits (t, K * places) as the graph has them: 0 where there is no word, span or label."""
        row = np.zeros((len(ids), self._gliner.network.widths, _PLACES), np.float32)
        words, widths, labels = logits.shape
        inside = np.arange(words)[:, None] + np.arange(widths) < words
        row[word_at, :, :labels] = logits.numpy() * inside[..., None]
        row[self._gliner.all_at(ids), 0, 0] = gate
        return row.reshape(len(ids), -1)


def _chosen(scores: NDArray[np.float32], options: dict[str, Any]) -> list[tuple[int, int, int, float]]:
    """First word, last word, label and score of each entity, in the order in which they begin. Of each label the surest
    comes first, and none beside one of the same label that it overlaps, or where they may be nested, crosses."""
    words, widths, labels = scores.shape
    chosen: list[tuple[int, int, int, float]] = []
    for label in range(labels):
        spans = [
            (first, first + width, label, float(scores[first, width, label]))
            for first in range(words)
            for width in range(min(widths, words - first))
            if scores[first, width, label] >= np.float32(options.get("threshold", 0.5))
        ]
        taken: list[tuple[int, int, int, float]] = []
        for span in sorted(spans, key=lambda each: -each[3]):
            if not any(_bars(span[:2], other[:2], nested=options.get("nested", False)) for other in taken):
                taken.append(span)
        chosen += taken
    return sorted(chosen, key=lambda each: (each[0], -each[3]))


def _bars(span: tuple[int, int], other: tuple[int, int], *, nested: bool) -> bool:
    (a, b), (c, d) = span, other
    within = (a <= c and b >= d) or (c <= a and d >= b)
    return a <= d and c <= b and not (nested and within)
