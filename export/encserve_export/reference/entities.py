"""Entities of texts, as the pipeline of transformers gives them."""

from __future__ import annotations

import numpy as np
import transformers

from .loading import pipeline_of
from .messages import Answer, Answered, Asked, Library
from .watching import Watched


class Entities:
    """The pipeline for token-classification."""

    by, package = "TokenClassificationPipeline", "transformers"

    def __init__(self, library: Library) -> None:
        self._pipeline = pipeline_of(library, transformers.AutoModelForTokenClassification)
        self.watched = Watched(self._pipeline.model)

    def answer(self, asked: Asked) -> Answered:
        """The entities of each text, with where they begin and end, in characters."""
        aggregation = asked.options.get("aggregation", "simple")
        label = "entity" if aggregation == "none" else "entity_group"
        answers = []
        for text in asked.inputs["text"]:
            found = self._pipeline(text, aggregation_strategy=aggregation)
            places = [(int(each["start"]), int(each["end"])) for each in found]
            keys = tuple(
                (each[label], begin, end, text[begin:end]) for each, (begin, end) in zip(found, places, strict=True)
            )
            answers.append((Answer("found", np.array([each["score"] for each in found], np.float32), keys),))
        return Answered(answers, self.watched.rows())
