"""Pooled vectors to answers: shortened, normalised."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .options import Options

_SMALLEST_NORM = 1e-12  # as torch.nn.functional.normalize, so that a zero vector stays zero


def finish_vectors(vectors: NDArray[np.float32], options: Options) -> NDArray[np.float32]:
    """Keep the leading components and scale to length 1, as the options say: (n, H) -> (n, dimensions)."""
    kept = vectors[..., : options.dimensions]
    if not options.normalize:
        return np.ascontiguousarray(kept)
    norms = np.sqrt(np.einsum("...h,...h->...", kept, kept, dtype=np.float32))
    return np.divide(kept, np.maximum(norms, _SMALLEST_NORM)[..., None], dtype=np.float32)
