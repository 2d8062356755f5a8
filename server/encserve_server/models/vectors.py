"""The head of feature-extraction: pooled vectors to answers, shortened and normalised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .options import Options

_SMALLEST_NORM = 1e-12  # as torch.nn.functional.normalize, so that a zero vector stays zero


class Head:
    """Sentence embeddings."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        pass

    def answer(self, inputs: Mapping[str, NDArray[Any]], options: Options) -> dict[str, NDArray[Any]]:
        """Vectors (n, H) to `embedding` (n, dimensions)."""
        return {"embedding": finish_vectors(inputs["sentence_embedding"], options)}


def finish_vectors(vectors: NDArray[np.float32], options: Options) -> NDArray[np.float32]:
    """Keep the leading components and scale to length 1, as the options say: (n, H) -> (n, dimensions)."""
    kept = vectors[..., : options["dimensions"]]
    if not options["normalize"]:
        return np.ascontiguousarray(kept)
    norms = np.sqrt(np.einsum("...h,...h->...", kept, kept, dtype=np.float32))
    return np.divide(kept, np.maximum(norms, _SMALLEST_NORM)[..., None], dtype=np.float32)
