"""Vectors of queries and documents, and their scores, as sentence-transformers gives them: it reads the layouts of
Stanford and of PyLate, too."""

from __future__ import annotations

from typing import Any

import numpy as np
from sentence_transformers import MultiVectorEncoder
from torch import Tensor

from .messages import Answer, Answered, Asked, Library
from .vectors import load_encoder
from .watching import Watched

_DOCUMENTS = ("document", "passage", "corpus")


class LateInteraction:
    """`MultiVectorEncoder.encode_query`, `encode_document` and `similarity`."""

    by, package = "MultiVectorEncoder", "sentence-transformers"

    def __init__(self, library: Library) -> None:
        self._encoder: Any = load_encoder(MultiVectorEncoder, library)
        if library.max_length is not None:
            self._encoder[0].document_length = library.max_length
        self.watched = Watched(self._encoder)

    def answer(self, asked: Asked) -> Answered:
        """A vector for each token that has one, of each text; the keys are its number and its characters. Or an order
        of all texts but the first, which is the query."""
        texts = asked.inputs["text"]
        if asked.options.get("rank"):
            query, *documents = texts
            scores = self._scores(query, documents)
            order = np.argsort(-scores, kind="stable")
            return Answered([(Answer("ranked", scores[order], tuple(order.tolist())),)], self.watched.rows())
        as_query = asked.options.get("input_type") == "query"
        return Answered([(self._vectors(text, query=as_query),) for text in texts], self.watched.rows())

    def _scores(self, query: str, documents: list[str]) -> Any:
        asked = self._encoder.encode_query(query)
        found = [self._encoder.encode_document(document) for document in documents]
        return self._encoder.similarity([asked], found)[0].numpy()

    def _vectors(self, text: str, *, query: bool) -> Answer:
        encode = self._encoder.encode_query if query else self._encoder.encode_document
        given: dict[str, Tensor] = encode(text, output_value=None)
        counted = given["attention_mask"].bool().numpy()  # (t,)
        filled = given.get("query_expansion_positions")
        own = len(counted) - (0 if filled is None else int(filled.sum()))
        characters = self._characters(text, own, query=query) + [(-1, -1)] * (len(counted) - own)
        places = [characters[place] for place in np.flatnonzero(counted)]
        keys = tuple((number, *place) for number, place in enumerate(places))
        return Answer("found", given["token_embeddings"].numpy()[counted], keys)

    def _characters(self, text: str, count: int, *, query: bool) -> list[tuple[int, int]]:
        """Where in `text` each of the `count` tokens stands that are no filling."""
        prompts = self._encoder.prompts
        names = ("query",) if query else _DOCUMENTS
        prompt = next((prompts[name] for name in names if name in prompts), None) or ""
        told = {"return_offsets_mapping": True, "return_special_tokens_mask": True}
        tokens = self._encoder.tokenizer(prompt + text, truncation=True, max_length=count, **told)
        marked = zip(tokens["offset_mapping"], tokens["special_tokens_mask"], strict=True)
        return [
            (-1, -1) if special or (prompt and end <= len(prompt)) else (max(0, begin - len(prompt)), end - len(prompt))
            for (begin, end), special in marked
        ]
