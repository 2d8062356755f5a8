"""How late interaction compares a query with a document (Khattab and Zaharia 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from encserve._errors import InvalidInput

Floats = NDArray[np.float32]


def max_sim(queries: Sequence[Floats], documents: Sequence[Floats]) -> Floats:
    """The sums, over the vectors of a query, of the largest product with a vector of the document: (q, n). A text
    without a vector scores 0.

    Args:
        queries: q arrays (t, d), the vectors of the tokens of each.
        documents: n arrays (t, d).

    Raises:
        InvalidInput: the vectors of a text are no array of two dimensions, or not float32; or they are of different
            lengths.
    """
    lengths = set()
    for own in (*queries, *documents):
        if not isinstance(own, np.ndarray) or own.ndim != 2:
            found = f"of shape {own.shape}" if isinstance(own, np.ndarray) else f"a {type(own).__name__}"
            raise InvalidInput(f"the vectors of a text are {found}, expected an array (tokens, width)")
        if own.dtype != np.float32:
            raise InvalidInput(f"the vectors are {own.dtype}, expected float32, from which scores are made")
        lengths.add(own.shape[1])
    if len(lengths) > 1:
        raise InvalidInput(f"vectors of {' and of '.join(map(str, sorted(lengths)))} numbers do not compare")
    scores = np.zeros((len(queries), len(documents)), np.float32)
    for row, query in enumerate(queries):
        for column, document in enumerate(documents):
            if len(query) and len(document):
                scores[row, column] = (query @ document.T).max(axis=1).sum()
    return scores
