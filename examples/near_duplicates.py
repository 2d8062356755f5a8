"""Messages that say nearly the same, found without a server: the pipeline is computed in this process.

Needs `pip install '.[local]'` in a clone, and a model repository with a pipeline for embeddings. Run it with
`python examples/near_duplicates.py model_repository minilm`.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from encserve.local import Encoder

MESSAGES = Path(__file__).parent / "support_messages.tsv"


def nearest_pairs(encoder: Encoder, texts: Sequence[str], count: int) -> list[tuple[float, str, str]]:
    """The pairs of texts that are most alike, the nearest first, each after its cosine."""
    vectors = encoder.embed(texts, normalize=True).vectors
    cosines = np.triu(vectors @ vectors.T, k=1)
    order = np.argsort(-cosines, axis=None)[:count]
    pairs = np.column_stack(np.unravel_index(order, cosines.shape)).tolist()
    return [(float(cosines[first, second]), texts[first], texts[second]) for first, second in pairs]


def main() -> None:
    """Print the pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repository", type=Path)
    parser.add_argument("name")
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    with MESSAGES.open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file, delimiter="\t")]
    with Encoder(arguments.repository, arguments.name) as encoder:
        for cosine, first, second in nearest_pairs(encoder, texts, arguments.pairs):
            print(f"{cosine:.3f}  {first}\n       {second}")


if __name__ == "__main__":
    main()
