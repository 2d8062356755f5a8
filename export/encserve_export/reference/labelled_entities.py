"""Entities of labels that a request brings, as GLiNER chooses them among its scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .messages import Answer, Answered, Asked, Library, Row
from .networks.gliner import Gliner

_PLACES = 64
"""Of labels in a row of the graph that is compared."""
_Span: TypeAlias = tuple[int, int, int, float]
"""First word, last word, label and score."""


@dataclass(frozen=True)
class _Network:
    parameters: int


class LabelledEntities:
    """The encoder of transformers in the network that GLiNER publishes, and its greedy choice of spans."""

    by, package = "AutoModel", "transformers"

    def __init__(self, library: Library) -> None:
        if library.max_length is None:
            raise ValueError("the library itself reads rows of any length; how long they are here is to be told")
        self._gliner, self._most = Gliner(library.folder, library.base), library.max_length
        self.watched: Any = _Network(sum(tensor.numel() for tensor in self._gliner.network.parameters()))

    def answer(self, asked: Asked) -> Answered:
        """The entities of each text, with where they begin and end, in characters."""
        labels, rows, answers = asked.options["labels"], [], []
        for text in asked.inputs["text"]:
            ids, word_at, places = self._gliner.read(text, labels, self._most)
            if word_at:
                logits = self._gliner.logits(ids, word_at)
                spans = _runs if self._gliner.of_words else _spans
                threshold = asked.options.get("threshold", 0.5)
                found = _chosen(spans(logits.sigmoid().numpy(), threshold), asked.options)
            else:
                logits, found = None, []
            keys = tuple(
                (labels[label], places[first][0], places[last][1], text[places[first][0] : places[last][1]])
                for first, last, label, _ in found
            )
            answers.append((Answer("found", np.array([score for *_, score in found], np.float32), keys),))
            rows.append(Row(np.array(ids, np.int64), None, self._row(ids, word_at, logits)))
        return Answered(answers, rows)

    def _row(self, ids: list[int], word_at: list[int], logits: Tensor | None) -> NDArray[np.float32]:
        """The logits (t, rows * places) as the graph has them: 0 where there is no word, span or label."""
        row = np.zeros((len(ids), self._gliner.network.rows, _PLACES), np.float32)
        if logits is not None:
            words, rows, labels = logits.shape
            inside = self._gliner.of_words | (np.arange(words)[:, None] + np.arange(rows) < words)
            row[word_at, :, :labels] = logits.numpy() * inside[..., None]
        return row.reshape(len(ids), -1)


def _spans(scores: NDArray[np.float32], threshold: float) -> list[_Span]:
    """Those that are sure enough, of the scores (w, K, c) of the spans of 1 to K words that begin at each word."""
    words = len(scores)
    above = np.argwhere(scores > np.float32(threshold)).tolist()
    return [(s, s + k, c, float(scores[s, k, c])) for s, k, c in above if s + k < words]


def _runs(scores: NDArray[np.float32], threshold: float) -> list[_Span]:
    """Those that are sure enough, of the scores (w, 3, c) of words: from a start to an end of the same label, no inside
    between them below the threshold. The score is the smallest of all."""
    found = []
    starts, ends, insides = scores.transpose(1, 0, 2)  # (w, c)
    for first, label in np.argwhere(starts > np.float32(threshold)).tolist():
        least = float(starts[first, label])
        for last in range(first, len(scores)):
            if (inside := float(insides[last, label])) < threshold:
                break
            least = min(least, inside)
            if ends[last, label] > np.float32(threshold):
                found.append((first, last, label, min(least, float(ends[last, label]))))
    return found


def _chosen(spans: list[_Span], options: dict[str, Any]) -> list[_Span]:
    """The entities among spans, in the order in which they begin: the surest first, and none beside one that it
    overlaps, or where they may be nested, crosses."""
    taken: list[_Span] = []
    for span in sorted(spans, key=lambda each: -each[3]):
        if not any(_bars(span, other, options) for other in taken):
            taken.append(span)
    return sorted(taken, key=lambda each: each[0])


def _bars(span: _Span, other: _Span, options: dict[str, Any]) -> bool:
    (a, b), (c, d) = span[:2], other[:2]
    if (a, b) == (c, d):
        return not options.get("multi_label", False)
    if a > d or c > b:
        return False
    within = (a <= c and b >= d) or (c <= a and d >= b)
    return not (options.get("nested", False) and within)
