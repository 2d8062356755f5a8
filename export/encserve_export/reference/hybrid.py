"""The three outputs of BGE-M3 as FlagEmbedding defines them, on the encoder as transformers runs it.

FlagEmbedding 1.4.2 (`inference/embedder/encoder_only/m3.py`) is no requirement; the tests hold these lines to what it
gives itself. Files are read here by their own means, so that the certificate does not compare our reading of them with
itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor

from .loading import length_of, model_of, tokenizer_of
from .messages import Answer, Answered, Asked, Library
from .watching import Watched


class Hybrid:
    """`AutoModel`, and what `BGEM3FlagModel.encode` makes of its states."""

    by, package = "AutoModel, with BGE-M3's layers by FlagEmbedding's definition,", "transformers"

    def __init__(self, library: Library) -> None:
        self._model = model_of(library, transformers.AutoModel)
        self._tokenizer: Any = tokenizer_of(library, self._model)
        settings = library.folder / "sentence_bert_config.json"
        stated = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
        if length := stated.get("max_seq_length"):  # which FlagEmbedding leaves to each call
            self._tokenizer.model_max_length = length_of(library, length, self._model, self._tokenizer)
        self.watched = Watched(self._model)
        self._sparse, self._colbert = (_layer(library.folder / f"{name}_linear.pt") for name in ("sparse", "colbert"))
        names = ("cls_token_id", "eos_token_id", "pad_token_id", "unk_token_id")
        self._unused = {getattr(self._tokenizer, name) for name in names}

    def answer(self, asked: Asked) -> Answered:
        """Of each text its vector, its lexical weights by token id, and its ColBERT vectors, whose keys are their
        number and their characters."""
        answers = [self._of(text) for text in asked.inputs["text"]]
        return Answered(answers, self.watched.rows())

    def _of(self, text: str) -> tuple[Answer, ...]:
        told = {"return_offsets_mapping": True, "return_special_tokens_mask": True}
        tokens = self._tokenizer(text, truncation=True, **told)
        ids = tokens["input_ids"]
        row = torch.tensor([ids])
        output = self._model(input_ids=row, attention_mask=torch.ones_like(row))
        states = output.last_hidden_state[0]  # (t, H)
        dense = torch.nn.functional.normalize(states[0], dim=-1)
        weights = torch.relu(self._sparse(states))  # (t, 1)
        colbert = self._colbert(states[1:])  # (t - 1, D)
        colbert = torch.nn.functional.normalize(colbert, dim=-1)
        lexical: dict[int, float] = {}
        for id_, weight in zip(ids, weights[:, 0].tolist(), strict=True):
            if id_ not in self._unused and weight > lexical.get(id_, 0.0):
                lexical[id_] = weight
        marked = zip(tokens["offset_mapping"], tokens["special_tokens_mask"], strict=True)
        places = [(-1, -1) if special else place for place, special in marked][1:]
        keys = tuple((number, *place) for number, place in enumerate(places))
        return (
            Answer("numbers", dense.numpy()),
            Answer("weights", np.array(list(lexical.values()), np.float32), tuple(lexical)),
            Answer("found", colbert.numpy(), keys),
        )


def _layer(file: Path) -> Callable[[Tensor], Tensor]:
    """The linear layer in a file of FlagEmbedding's."""
    tensors = torch.load(file, map_location="cpu", weights_only=True)
    return partial(torch.nn.functional.linear, weight=tensors["weight"].float(), bias=tensors["bias"].float())
