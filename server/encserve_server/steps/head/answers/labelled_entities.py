"""The head of entities of labels that a request brings: scores of spans of words to entities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...request.options import InvalidArgument, Options
from ..fit import Fit, text_of
from .bytes_tensor import bytes_tensor
from .scores import Floats, sigmoid

WORD = 1
"""The role of a token that begins a word, whose row has the scores of the spans that begin there."""


class Found(NamedTuple):
    """A span of words with a label."""

    first: int
    last: int
    """Both are words of it."""
    label: int
    score: float


class Head:
    """Entities whose score is above the threshold, flat or nested in each other."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        stated = settings["entities"]
        self._widths: int = stated["max_width"]
        self._most: int = stated["most_labels"]
        self.fit = Fit(
            {
                "logits": ("tokens", self._widths * self._most),
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
        in which they begin, from the logits (T, K * M) of K widths of spans and M labels.

        Raises InvalidArgument.
        """
        labels: list[str] = options["labels"]
        at_words = np.flatnonzero(inputs["entity_roles"] == WORD)
        offsets, counts = inputs["word_offsets"], inputs["word_count"]
        if len(at_words) != len(offsets) or int(counts.sum(dtype=np.int64)) != len(offsets) or (counts < 0).any():
            raise InvalidArgument(
                f"entity_roles has {len(at_words)} words, word_offsets {len(offsets)} and word_count "
                f"{int(counts.sum(dtype=np.int64))}; as many of each are expected"
            )
        logits = inputs["logits"][at_words].reshape(-1, self._widths, self._most)[..., : len(labels)]
        scores, ends = sigmoid(logits), np.cumsum(counts)
        spans, places, texts, of_texts = [], [], [], []
        for raw, begin, end in zip(inputs["text"], ends - counts, ends, strict=True):
            found = find_spans(
                scores[begin:end],
                threshold=options["threshold"],
                nested=options["nested"],
                multi_label=options["multi_label"],
            )
            text = text_of(raw) if found else ""
            own = [(int(offsets[begin + each.first, 0]), int(offsets[begin + each.last, 1])) for each in found]
            spans += found
            places += own
            texts += [text[first:last] for first, last in own]
            of_texts.append(len(found))
        return {
            "entity_count": np.array(of_texts, np.int32),
            "label": bytes_tensor([labels[each.label] for each in spans]),
            "entity": bytes_tensor(texts),
            "score": np.array([each.score for each in spans], np.float32),
            "start": np.array([first for first, _ in places], np.int32),
            "end": np.array([last for _, last in places], np.int32),
        }


def find_spans(scores: Floats, *, threshold: float, nested: bool, multi_label: bool) -> list[Found]:
    """Return the entities of one text, in the order in which they begin.

    The surest span comes first, and one that overlaps a surer one is left out; where `nested`, only one that overlaps
    it and lies neither within nor around it. A span has its surest label, or with `multi_label` each whose score is
    above the threshold.

    Args:
        scores: Of the spans of 1 to K words that begin at each of w words, for each of C labels, (w, K, C).
        threshold: What a score must be above.
        nested: Whether entities may lie in each other.
        multi_label: Whether a span may have several labels.
    """
    words, widths, _ = scores.shape
    best = scores.max(2)  # (w, K)
    inside = np.arange(words)[:, None] + np.arange(widths) < words
    firsts, lengths = np.nonzero((best > np.float32(threshold)) & inside)
    order = np.argsort(-best[firsts, lengths], kind="stable")
    taken = _Taken(words, widths, nested=nested)
    found: list[Found] = []
    for first, length in zip(firsts[order].tolist(), lengths[order].tolist(), strict=True):
        if taken.takes(first, length):
            own = scores[first, length]
            labels = np.flatnonzero(own > np.float32(threshold)) if multi_label else own.argmax(keepdims=True)
            found += [Found(first, first + length, int(label), float(own[label])) for label in labels]
    found.sort(key=lambda each: (-each.score, each.first, each.last, each.label))
    return sorted(found, key=lambda each: each.first)


class _Taken:
    """The spans of a text that are entities already. Asking costs no more than the words of the longest span."""

    def __init__(self, words: int, widths: int, *, nested: bool) -> None:
        self._widths, self._nested = widths, nested
        self._covered = [False] * words
        self._from = [0] * words
        """For each word the spans that begin there: bit n is that of n + 1 words."""

    def takes(self, first: int, length: int) -> bool:
        """Return whether the span of `length` + 1 words from `first` on may stand beside the others; then add it."""
        last = first + length
        if not self._nested:
            if any(self._covered[first : last + 1]):
                return False
            self._covered[first : last + 1] = [True] * (length + 1)
            return True
        for before in range(max(0, first - self._widths + 1), first):  # which end within it
            if self._from[before] >> (first - before) & ((1 << length) - 1):
                return False
        if any(self._from[within] >> (last - within + 1) for within in range(first + 1, last + 1)):  # or behind it
            return False
        self._from[first] |= 1 << length
        return True
