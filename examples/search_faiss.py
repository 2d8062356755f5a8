"""Semantic search with FAISS, over vectors that OpenAI's client gets from the gateway.

Needs `pip install faiss-cpu openai`, and `encserve gateway` with a pipeline for embeddings. Run it with
`python examples/search_faiss.py "where is my parcel?"`.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray
from openai import OpenAI

MESSAGES = Path(__file__).parent / "support_messages.tsv"


class Search:
    """Texts, found by what they mean."""

    def __init__(self, client: OpenAI, model: str, texts: Sequence[str]) -> None:
        self._client = client
        self._model = model
        self._texts = texts
        vectors = self._embed(texts, "document")
        self._index = faiss.IndexFlatIP(vectors.shape[1])  # vectors have length 1, so that products are cosines
        self._index.add(vectors)

    def find(self, query: str, *, top_k: int = 3) -> list[tuple[float, str]]:
        """The nearest texts, nearest first, each after its cosine."""
        scores, indices = self._index.search(self._embed([query], "query"), top_k)
        return [(float(score), self._texts[index]) for score, index in zip(scores[0], indices[0], strict=True)]

    def _embed(self, texts: Sequence[str], role: str) -> NDArray[np.float32]:
        # Checkpoints that want prompts have one for each role; for others `input_type` says nothing.
        told = {"input_type": role}
        answer = self._client.embeddings.create(model=self._model, input=list(texts), extra_body=told)
        return np.array([item.embedding for item in answer.data], np.float32)


def messages() -> list[str]:
    """The texts that are searched."""
    with MESSAGES.open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file, delimiter="\t")]


def main() -> None:
    """Search for what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("query")
    parser.add_argument("--url", default="http://localhost:8080/v1")
    parser.add_argument("--model", default="minilm")
    arguments = parser.parse_args()
    search = Search(OpenAI(base_url=arguments.url, api_key="unused"), arguments.model, messages())
    for score, text in search.find(arguments.query):
        print(f"{score:.3f}  {text}")


if __name__ == "__main__":
    main()
