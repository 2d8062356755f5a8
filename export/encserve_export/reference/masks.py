"""Tokens for masks, as the pipeline of transformers gives them."""

from __future__ import annotations

from typing import Any

import numpy as np
import transformers

from .loading import pipeline_of
from .messages import Answer, Answered, Asked, Library
from .watching import Watched


class Masks:
    """The pipeline for fill-mask."""

    by, package = "FillMaskPipeline", "transformers"

    def __init__(self, library: Library) -> None:
        self._pipeline = pipeline_of(library, transformers.AutoModelForMaskedLM)
        mask = self._pipeline.tokenizer.mask_token_id
        self.watched = Watched(self._pipeline.model, lambda input_ids, logits: logits[input_ids == mask])

    def answer(self, asked: Asked) -> Answered:
        """For each mask of each text the likeliest tokens, with what they are shown as."""
        answers = []
        for text in asked.inputs["text"]:
            found = self._pipeline(text, top_k=asked.options.get("top_k", 5), tokenizer_kwargs={"truncation": True})
            masks = [found] if isinstance(found[0], dict) else found
            answers.append(tuple(self._fills(fills) for fills in masks))
        return Answered(answers, self.watched.rows())

    @staticmethod
    def _fills(fills: list[dict[str, Any]]) -> Answer:
        scores = np.array([fill["score"] for fill in fills], np.float32)
        return Answer("ranked", scores, tuple((fill["token"], fill["token_str"]) for fill in fills))
