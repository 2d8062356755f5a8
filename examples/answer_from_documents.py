"""Answer a question from documents and say from which: found by vectors, put in order by a reranker, answered by a T5.

One server has all three: `encserve export` of sentence-transformers/all-MiniLM-L6-v2 as `minilm`, of
cross-encoder/ms-marco-MiniLM-L6-v2 as `reranker`, and of google/flan-t5-base as `t5` with
`--task text2text-generation`. Run it with `python examples/answer_from_documents.py "How do lanes work?" docs/*.md`.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from encserve import Client


@dataclass(frozen=True)
class Passage:
    text: str
    source: str  # its file, and the line at which it begins


def read_passages(files: Sequence[Path]) -> list[Passage]:
    found = []
    for file in files:
        line = 1
        for paragraph in file.read_text(encoding="utf-8").split("\n\n"):
            if paragraph.strip():
                found.append(Passage(" ".join(paragraph.split()), f"{file.name}:{line}"))
            line += paragraph.count("\n") + 2
    return found


def best(client: Client, question: str, passages: Sequence[Passage], arguments: argparse.Namespace) -> list[Passage]:
    vectors = client.embed([each.text for each in passages], model=arguments.embedder, normalize=True).vectors
    (query,) = client.embed([question], model=arguments.embedder, normalize=True).vectors
    near = [passages[index] for index in (vectors @ query).argsort()[::-1][:20]]  # cosines, as lengths are 1
    ranked = client.rerank(question, [each.text for each in near], model=arguments.reranker)
    return [near[index] for index in ranked.indices[: arguments.passages]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--url", default="localhost:8001")
    parser.add_argument("--passages", type=int, default=3, help="how many the answer is made from")
    for role, name in (("embedder", "minilm"), ("reranker", "reranker"), ("generator", "t5")):
        parser.add_argument(f"--{role}", default=name)
    arguments = parser.parse_args()
    with Client(arguments.url) as client:
        sources = best(client, arguments.question, read_passages(arguments.files), arguments)
        told = " ".join(f"[{number}] {each.text}" for number, each in enumerate(sources, 1))
        prompt = f"Answer the question from the passages. Question: {arguments.question} Passages: {told}"
        with client.generate_stream(prompt, model=arguments.generator, max_new_tokens=100) as stream:
            for piece in stream:
                print(piece, end="", flush=True)
    print("".join(f"\n[{number}] {each.source}" for number, each in enumerate(sources, 1)))
    if stream.last is not None and (unread := stream.last.dropped_counts[0]):
        print(f"{unread} tokens of the passages did not fit into {arguments.generator}", file=sys.stderr)


if __name__ == "__main__":
    main()
