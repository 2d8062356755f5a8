"""A LangChain retriever over vectors of the gateway.

Needs `pip install langchain-openai`, and `encserve gateway` with a pipeline for embeddings. Run it with
`python examples/retriever_langchain.py "where is my parcel?"`.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from langchain_core.vectorstores import InMemoryVectorStore, VectorStoreRetriever
from langchain_openai import OpenAIEmbeddings
from pydantic import SecretStr

MESSAGES = Path(__file__).parent / "support_messages.tsv"


def retriever(url: str, model: str, texts: Sequence[str], *, top_k: int = 3) -> VectorStoreRetriever:
    """What finds the texts nearest to a question; it goes into any chain."""
    embeddings = OpenAIEmbeddings(
        model=model,
        base_url=url,
        api_key=SecretStr("unused"),
        check_embedding_ctx_length=False,  # or it sends ids of tokens of another model's vocabulary
    )
    return InMemoryVectorStore.from_texts(list(texts), embeddings).as_retriever(search_kwargs={"k": top_k})


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
    for document in retriever(arguments.url, arguments.model, messages()).invoke(arguments.query):
        print(document.page_content)


if __name__ == "__main__":
    main()
