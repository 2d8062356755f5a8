"""Spans that answer a question. transformers 5 has no pipeline for them any more: its model class answers here, with
its own tokenizer, by the rules of the pipeline of transformers 4, which are those of BERT's evaluation on SQuAD."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import transformers

from .loading import model_of, tokenizer_of
from .messages import Answer, Answered, Asked, Library
from .watching import Watched

_LONGEST = 15
"""Tokens of an answer."""


class Spans:
    """`AutoModelForQuestionAnswering`, with its tokenizer's own windows."""

    by, package = "AutoModelForQuestionAnswering", "transformers"

    def __init__(self, library: Library) -> None:
        self._model = model_of(library, transformers.AutoModelForQuestionAnswering)
        self._tokenizer = tokenizer_of(library, self._model)
        self.watched = Watched(self._model)

    def answer(self, asked: Asked) -> Answered:
        """For each question and context the best spans, by their first and last character, and "no answer"."""
        answers, rows = [], []
        for question, context in zip(*asked.inputs.values(), strict=True):
            spans: dict[tuple[int, int], float] = {}
            absent = 1.0
            windows = self._windows(question, context)
            for window in range(len(windows["input_ids"])):
                self._run(windows, window)
                (row,) = self.watched.rows()
                rows.append(row)
                absent = min(absent, self._add(spans, row.logits, windows, window))
            best = sorted(spans.items(), key=lambda item: -item[1])[: asked.options.get("top_k", 1)]
            scores = np.array([score for _, score in best], np.float32)
            keys = tuple((begin, end, context[begin:end]) for (begin, end), _ in best)
            answers.append((Answer("ranked", scores, keys), Answer("numbers", np.array([absent], np.float32))))
        return Answered(answers, rows)

    def _windows(self, question: str, context: str) -> Any:
        return self._tokenizer(
            question,
            context,
            truncation="only_second",
            max_length=self._tokenizer.model_max_length,
            stride=min(128, self._tokenizer.model_max_length // 2),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )

    def _run(self, windows: Any, window: int) -> None:
        names = ("input_ids", "attention_mask", "token_type_ids")
        with torch.inference_mode():
            self._model(**{name: torch.tensor([windows[name][window]]) for name in names if name in windows})

    @staticmethod
    def _add(spans: dict[tuple[int, int], float], logits: Any, windows: Any, window: int) -> float:
        """Put the spans of a window to those of the others; returns the window's score of "no answer"."""
        inside = [index for index, sequence in enumerate(windows.sequence_ids(window)) if sequence == 1]
        allowed = [0, *inside]
        exponents = np.exp(logits[allowed].astype(np.float64) - logits[allowed].max(0))
        first, last = (exponents / exponents.sum(0)).T
        places = windows["offset_mapping"][window]
        words = [-1 - index if word is None else word for index, word in enumerate(windows.word_ids(window))]
        begins: dict[Any, int] = {}
        ends: dict[Any, int] = {}
        for index in inside:
            begins[words[index]] = min(places[index][0], begins.get(words[index], 10**9))
            ends[words[index]] = max(places[index][1], ends.get(words[index], 0))
        for one in range(1, len(allowed)):
            for other in range(one, min(one + _LONGEST, len(allowed))):
                span = begins[words[allowed[one]]], ends[words[allowed[other]]]
                spans[span] = max(spans.get(span, 0.0), float(first[one] * last[other]))
        return float(first[0] * last[0])
