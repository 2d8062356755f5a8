"""The head of question-answering: logits of where an answer starts and ends to the best spans of the context.

As in BERT's original evaluation on SQuAD and in transformers' pipeline: in each window the starts and the ends get
probabilities, among the tokens of the context and the first special token, which stands for "no answer"; a span's score
is the product. A span that several windows hold counts once, with its highest score.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...request.options import Options
from ..fit import Fit, text_of
from .bytes_tensor import bytes_tensor
from .scores import Floats, softmax

NO_SPAN = -1
"""The start and the end where a context has fewer spans than were asked for."""


class Head:
    """The best spans for each question."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.fit = Fit(
            {
                "logits": ("tokens", 2),
                "lengths": ("windows",),
                "window_count": ("texts",),
                "offsets": ("tokens", 2),
                "word_offsets": ("tokens", 2),
                "text_pair": ("texts",),
            },
            {"lengths": "tokens", "window_count": "windows"},
        )

    def answer(self, inputs: Mapping[str, NDArray[Any]], options: Options) -> dict[str, NDArray[Any]]:
        """Return `answer`, `score`, `start` and `end` (n, top_k) and `no_answer_score` (n,), from the logits (T, 2) of
        W windows."""
        places = inputs["word_offsets" if options["align_to_words"] else "offsets"]  # (T, 2)
        ends = np.cumsum(inputs["lengths"]).tolist()
        windows = iter(zip([0, *ends[:-1]], ends, strict=True))
        count = options["top_k"]
        shape = (len(inputs["window_count"]), count)
        score = np.zeros(shape, np.float32)
        start, end = np.full(shape, NO_SPAN, np.int32), np.full(shape, NO_SPAN, np.int32)
        absent = np.ones(shape[0], np.float32)
        texts = [""] * (shape[0] * count)
        for row, window_count in enumerate(inputs["window_count"].tolist()):
            best: dict[tuple[int, int], float] = {}
            for _ in range(window_count):
                begin, stop = next(windows)
                null, spans = spans_of_window(
                    inputs["logits"][begin:stop], places[begin:stop], count, options["max_answer_length"]
                )
                absent[row] = min(absent[row], null)
                for span, value in spans:
                    best[span] = max(value, best.get(span, 0.0))
            if options["no_answer"]:
                best[0, 0] = float(absent[row])
            ranked = sorted(best.items(), key=lambda item: -item[1])[:count]
            context = text_of(inputs["text_pair"][row])
            for place, (span, value) in enumerate(ranked):
                score[row, place], (start[row, place], end[row, place]) = value, span
                texts[row * count + place] = context[span[0] : span[1]]
        return {
            "answer": bytes_tensor(texts).reshape(shape),
            "score": score,
            "start": start,
            "end": end,
            "no_answer_score": absent,
        }


def spans_of_window(
    logits: Floats, places: NDArray[np.int32], count: int, max_answer_length: int
) -> tuple[float, list[tuple[tuple[int, int], float]]]:
    """Return the score of no answer, and the `count` best distinct spans of one window with their scores.

    Args:
        logits: The logits of starts and ends, (t, 2).
        places: The places of each token in the context, (t, 2); -1 outside it.
        count: The number of spans to return.
        max_answer_length: The most tokens of a span.
    """
    inside = places[:, 0] >= 0
    allowed = inside.copy()
    allowed[0] = True
    probabilities = np.zeros_like(logits)
    probabilities[allowed] = softmax(logits[allowed].T).T  # (t, 2)
    null = float(probabilities[0, 0] * probabilities[0, 1]) if not inside[0] else 0.0
    return null, list(_best(probabilities[inside], places[inside], count, max_answer_length))


def _best(
    probabilities: Floats, places: NDArray[np.int32], count: int, max_answer_length: int
) -> Iterator[tuple[tuple[int, int], float]]:
    size = len(places)
    starts = np.repeat(np.arange(size), max_answer_length)
    ends = starts + np.tile(np.arange(max_answer_length), size)
    starts, ends = starts[ends < size], ends[ends < size]
    scores = probabilities[starts, 0] * probabilities[ends, 1]
    seen: set[tuple[int, int]] = set()
    for index in np.argsort(-scores, kind="stable"):
        span = int(places[starts[index], 0]), int(places[ends[index], 1])
        if span not in seen:
            seen.add(span)
            yield span, float(scores[index])
            if len(seen) == count:
                return
