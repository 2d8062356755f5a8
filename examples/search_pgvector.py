"""Semantic search in PostgreSQL with pgvector, over vectors that OpenAI's client gets from the gateway.

Needs `pip install pgvector 'psycopg[binary]' openai`, a database with the extension `vector`, and `encserve gateway`
with a pipeline for embeddings. Run it with
`python examples/search_pgvector.py --database postgresql:///mine "where is my parcel?"`.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psycopg
from numpy.typing import NDArray
from openai import OpenAI
from pgvector.psycopg import register_vector

MESSAGES = Path(__file__).parent / "support_messages.tsv"


class Search:
    """The table `message` of a database, found by what its texts mean."""

    def __init__(self, database: str, client: OpenAI, model: str) -> None:
        self._client = client
        self._model = model
        self._connection = psycopg.connect(database, autocommit=True)
        self._connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        register_vector(self._connection)

    def fill(self, texts: Sequence[str]) -> None:
        """Make the table anew, of these texts."""
        vectors = self._embed(texts, "document")
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS message")
            cursor.execute(f"CREATE TABLE message (text text NOT NULL, embedding vector({vectors.shape[1]}) NOT NULL)")
            with cursor.copy("COPY message (text, embedding) FROM STDIN WITH (FORMAT BINARY)") as copy:
                copy.set_types(["text", "vector"])
                for row in zip(texts, vectors, strict=True):
                    copy.write_row(row)
            cursor.execute("CREATE INDEX ON message USING hnsw (embedding vector_cosine_ops)")

    def find(self, query: str, *, top_k: int = 3) -> list[tuple[float, str]]:
        """The nearest texts, nearest first, each after its cosine."""
        (vector,) = self._embed([query], "query")
        nearest = "SELECT 1 - (embedding <=> %(v)s), text FROM message ORDER BY embedding <=> %(v)s LIMIT %(k)s"
        return self._connection.execute(nearest, {"v": vector, "k": top_k}).fetchall()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

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
    """Fill the table, and search for what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("query")
    parser.add_argument("--database", required=True, help="as libpq has it")
    parser.add_argument("--url", default="http://localhost:8080/v1")
    parser.add_argument("--model", default="minilm")
    arguments = parser.parse_args()
    search = Search(arguments.database, OpenAI(base_url=arguments.url, api_key="unused"), arguments.model)
    search.fill(messages())
    for score, text in search.find(arguments.query):
        print(f"{score:.3f}  {text}")
    search.close()


if __name__ == "__main__":
    main()
