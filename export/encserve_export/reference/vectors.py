"""Vectors of texts, of tokens and of vocabularies, as sentence-transformers gives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer, SparseEncoder
from sentence_transformers.base.modules import Router

from .loading import code_arguments, merge_adapter, model_arguments, set_length
from .messages import Answer, Answered, Asked, Library
from .prompts import prompt_arguments, prompt_before, prompts_of
from .watching import Watched


def load_encoder(kind: type[Any], library: Library) -> Any:
    """An encoder of sentence-transformers, of the class `kind`."""
    encoder = kind(
        str(library.folder),
        device="cpu",
        local_files_only=True,
        model_kwargs=model_arguments(library),
        **code_arguments(library),
    )
    set_length(library, encoder)
    merge_adapter(library, encoder)
    return encoder


class Vectors:
    """`SentenceTransformer.encode`, which also reads checkpoints of transformers: as the mean of their tokens."""

    by, package = "SentenceTransformer", "sentence-transformers"

    def __init__(self, library: Library) -> None:
        self._encoder = load_encoder(SentenceTransformer, library)
        self.watched = Watched(self._encoder)
        self._side = self._encoder.tokenizer.truncation_side
        self.prompts = prompts_of(self._encoder)

    def answer(self, asked: Asked) -> Answered:
        """One vector for each text."""
        options = asked.options
        self._encoder.tokenizer.truncation_side = _SIDES.get(options.get("truncate", ""), self._side)
        how = prompt_arguments(options) | {
            "truncate_dim": options.get("dimensions"),
            "normalize_embeddings": options.get("normalize", False),
        }
        vectors = [self._encoder.encode(text, **how) for text in asked.inputs["text"]]
        return Answered([(Answer("numbers", vector),) for vector in vectors], self.watched.rows())


_SIDES = {"end": "right", "start": "left"}


class TokenVectors:
    """`SentenceTransformer.encode` for tokens, and where its tokenizer says that each token stands."""

    by, package = "SentenceTransformer", "sentence-transformers"

    def __init__(self, library: Library) -> None:
        self._encoder = load_encoder(SentenceTransformer, library)
        self.watched = Watched(self._encoder)
        self.prompts = prompts_of(self._encoder)

    def answer(self, asked: Asked) -> Answered:
        """A vector for each token of each text; the keys are its place and its characters."""
        answers = []
        how, prompt = prompt_arguments(asked.options), prompt_before(self._encoder, asked.options)
        for text in asked.inputs["text"]:
            vectors = self._encoder.encode(text, output_value="token_embeddings", **how).numpy()
            places = self._encoder.tokenizer(
                prompt + text,
                truncation=True,
                max_length=self._encoder.max_seq_length,
                return_offsets_mapping=True,
                return_special_tokens_mask=True,
            )
            characters = [
                (-1, -1)
                if special or (prompt and end <= len(prompt))
                else (max(0, begin - len(prompt)), end - len(prompt))
                for (begin, end), special in zip(places["offset_mapping"], places["special_tokens_mask"], strict=True)
            ]
            keys = tuple((index, *each) for index, each in enumerate(characters))
            answers.append((Answer("found", vectors, keys),))
        return Answered(answers, self.watched.rows())


class SparseVectors:
    """`SparseEncoder.encode`."""

    by, package = "SparseEncoder", "sentence-transformers"

    def __init__(self, library: Library) -> None:
        self._encoder = load_encoder(SparseEncoder, library)
        self.watched = Watched(self._encoder, lambda input_ids, logits: None)  # they are not pooled yet
        self.prompts = prompts_of(self._encoder)

    def answer(self, asked: Asked) -> Answered:
        """The weights of the vocabulary's tokens, for each text."""
        answers = []
        encode = self._encode(asked.options)
        for text in asked.inputs["text"]:
            how = prompt_arguments(asked.options)
            weights = encode(text, convert_to_sparse_tensor=False, **how).numpy()  # (V,)
            (tokens,) = np.nonzero(weights)
            answers.append((Answer("weights", weights[tokens], tuple(tokens.tolist())),))
        return Answered(answers, self.watched.rows())

    def _encode(self, options: dict[str, Any]) -> Callable[..., Any]:
        """How texts are encoded: as what they are, where the checkpoint goes other ways with queries than with
        documents."""
        router = self._encoder[0]
        if not isinstance(router, Router):
            return self._encoder.encode  # type: ignore[no-any-return]
        usual = router.default_route or "document"
        kinds = {"query": self._encoder.encode_query, "document": self._encoder.encode_document}
        return kinds[options.get("input_type", usual)]  # type: ignore[no-any-return]
