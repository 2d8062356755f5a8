"""Labels and scores of texts and of pairs: as the pipelines of transformers give them, and sentence-transformers'
CrossEncoder."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
import transformers
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Dense
from sentence_transformers.cross_encoder.modules import LogitScore

from .loading import code_arguments, merge_adapter, model_arguments, pipeline_of, set_length
from .messages import Answer, Answered, Asked, Library
from .prompts import prompt_arguments, prompts_of
from .watching import Keep, Watched


class Labels:
    """The pipeline for text-classification."""

    by, package = "TextClassificationPipeline", "transformers"

    def __init__(self, library: Library) -> None:
        self._pipeline = pipeline_of(library, transformers.AutoModelForSequenceClassification, top_k=None)
        self.watched = Watched(self._pipeline.model)

    def answer(self, asked: Asked) -> Answered:
        """The labels of each text or pair with their scores, the best first."""
        cut = {"truncation": True, "max_length": self._pipeline.tokenizer.model_max_length}
        texts = [dict(zip(asked.inputs, each, strict=True)) for each in zip(*asked.inputs.values(), strict=True)]
        answers = [self._pipeline(text, **cut) for text in texts]
        return Answered([_ranked([(e["label"], e["score"]) for e in each]) for each in answers], self.watched.rows())


class ZeroShot:
    """The pipeline for zero-shot-classification."""

    by, package = "ZeroShotClassificationPipeline", "transformers"

    def __init__(self, library: Library) -> None:
        self._pipeline = pipeline_of(library, transformers.AutoModelForSequenceClassification)
        self.watched = Watched(self._pipeline.model)

    def answer(self, asked: Asked) -> Answered:
        """The request's labels for each text with their scores, the best first."""
        options = {name: value for name, value in asked.options.items() if name != "labels"}
        answers, rows = [], []
        for text in asked.inputs["text"]:
            found = self._pipeline(text, candidate_labels=asked.options["labels"], **options)
            answers.append(_ranked(list(zip(found["labels"], found["scores"], strict=True))))
            rows += self.watched.rows()
        return Answered(answers, rows)


class Ranking:
    """`CrossEncoder.predict`, by which `CrossEncoder.rank` orders."""

    by, package = "CrossEncoder", "sentence-transformers"

    def __init__(self, library: Library) -> None:
        self._encoder: Any = CrossEncoder(
            str(library.folder),
            device="cpu",
            local_files_only=True,
            model_kwargs=model_arguments(library),
            **code_arguments(library),
        )
        set_length(library, self._encoder)
        merge_adapter(library, self._encoder)
        self.prompts = prompts_of(self._encoder)
        self.watched = Watched(self._encoder, _score_of(self._encoder))
        self._scores: list[Any] = []
        for module in self._encoder:
            if isinstance(module, Dense) and module.module_output_name == "scores":
                module.register_forward_hook(lambda module, given, made: self._scores.append(made["scores"].numpy()))

    def answer(self, asked: Asked) -> Answered:
        """The documents of one query, by their number, with their scores, the best first."""
        (query,) = asked.inputs["text"]
        how = prompt_arguments(asked.options)
        scores = [float(self._encoder.predict((query, document), **how)) for document in asked.inputs["text_pair"]]
        order = np.argsort(np.array(scores), kind="stable")[::-1].tolist()
        rows = self.watched.rows()
        if self._scores:  # which a layer behind the network makes
            rows = [replace(row, logits=own) for row, own in zip(rows, self._scores, strict=True)]
            self._scores.clear()
        return Answered([_ranked([(index, scores[index]) for index in order])], rows)


def _score_of(encoder: torch.nn.Module) -> Keep:
    """What of the logits of a row a score is made of: all, or those of a word or two of a language model."""
    score = next((module for module in encoder.modules() if isinstance(module, LogitScore)), None)
    if score is None:
        return lambda input_ids, logits: logits
    yes, no = score.true_token_id, score.false_token_id
    return lambda input_ids, logits: logits[-1:, [yes]] - (0 if no is None else logits[-1:, [no]])


def _ranked(scored: list[tuple[Any, float]]) -> tuple[Answer]:
    scores = np.array([score for _, score in scored], np.float32)
    return (Answer("ranked", scores, tuple(key for key, _ in scored)),)
