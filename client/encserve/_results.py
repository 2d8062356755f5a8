"""What the clients return."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Embeddings:
    """Vectors of consecutive texts, one row per text, in the order of the texts."""

    vectors: NDArray[np.float32]
    """The embeddings, (n, dim)."""
    token_counts: NDArray[np.int32]
    """Tokens of each text that the network saw, special tokens among them, (n,)."""
    dropped_counts: NDArray[np.int32]
    """Tokens of each text that were cut because it was too long, (n,). Zero: the vector is of the whole text."""
    model: str
    """The pipeline that answered."""
    version: str
    """The version that answered; empty for an empty list of texts, about which no server was asked."""
    certificate: str
    """SHA-256 of the pipeline's manifest: names the exact files and the parity numbers behind the vectors."""
    start: int = 0
    """Index, in the whole call, of the text of row 0."""

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.vectors)


def blank_embeddings(rows: int, dimensions: int, *, model: str, version: str, certificate: str) -> Embeddings:
    """Embeddings of `rows` texts, still to be filled."""
    return Embeddings(
        vectors=np.empty((rows, dimensions), np.float32),
        token_counts=np.empty(rows, np.int32),
        dropped_counts=np.empty(rows, np.int32),
        model=model,
        version=version,
        certificate=certificate,
    )


class EmbeddingRows:
    """The rows of a whole call, in arrays that are allocated once, with the first part."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self.whole: Embeddings | None = None

    def put(self, part: Embeddings) -> None:
        """Copy a part to its rows."""
        if self.whole is None:
            dimensions = part.vectors.shape[1]
            self.whole = blank_embeddings(
                self._rows, dimensions, model=part.model, version=part.version, certificate=part.certificate
            )
        rows = slice(part.start, part.start + len(part))
        self.whole.vectors[rows] = part.vectors
        self.whole.token_counts[rows] = part.token_counts
        self.whole.dropped_counts[rows] = part.dropped_counts
