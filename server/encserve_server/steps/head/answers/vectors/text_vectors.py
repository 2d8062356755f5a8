"""The head of feature-extraction: pooled vectors to answers, shortened and normalised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....request.options import Options
from ...fit import Fit
from ..windows import mean_of_windows

_SMALLEST_NORM = 1e-12  # as torch.nn.functional.normalize, so that a zero vector stays zero


_FORMS = {
    "float32": ("embedding", np.float32),
    "int8": ("embedding_int8", np.int8),
    "binary": ("embedding_binary", np.uint8),
}
"""Value of the option `output_dtype` -> the name and the dtype of the output that has the vectors then."""


class Head:
    """Sentence embeddings."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.fit = Fit(
            {"sentence_embedding": ("windows", "width"), "lengths": ("windows",), "window_count": ("texts",)},
            {"window_count": "windows"},
        )

    def answer(self, inputs: Mapping[str, NDArray[Any]], options: Options) -> dict[str, NDArray[Any]]:
        """Return `embedding` (n, dimensions), or one of its shorter forms, from the vectors (W, H) of the windows of n
        texts.

        The forms that were not asked for have no columns.
        """
        means = mean_of_windows(inputs["sentence_embedding"], inputs["lengths"], inputs["window_count"])
        vectors = finish_vectors(means, options)
        return in_forms(vectors, options)


def in_forms(vectors: NDArray[np.float32], options: Options) -> dict[str, NDArray[Any]]:
    """Return vectors (n, d) in the type that the options choose, by the name of its output; the outputs of the others
    have no columns."""
    answer = {name: np.empty((len(vectors), 0), dtype) for name, dtype in _FORMS.values()}
    name, _ = _FORMS[options["output_dtype"]]
    return {**answer, name: _SHORTEN[options["output_dtype"]](vectors)}


def finish_vectors(vectors: NDArray[np.float32], options: Options) -> NDArray[np.float32]:
    """Return vectors (n, dimensions): the leading components of those (n, H), scaled to length 1 where the options say
    so."""
    kept = vectors[..., : options["dimensions"]]
    if not options["normalize"]:
        return np.ascontiguousarray(kept)
    norms = np.sqrt(np.einsum("...h,...h->...", kept, kept, dtype=np.float32))
    return np.divide(kept, np.maximum(norms, _SMALLEST_NORM)[..., None], dtype=np.float32)


def to_int8(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    """Return each vector (d,) scaled so that its largest component is 127 or -127: cosines stay, lengths do not."""
    largest = np.maximum(np.abs(vectors).max(-1, keepdims=True, initial=0), _SMALLEST_NORM)
    scaled: NDArray[np.float32] = np.rint(vectors * (127 / largest))
    return scaled.astype(np.int8)


def to_bits(vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return one bit for each component, set where it is above zero, eight in a byte with the first highest: (n, d) ->
    (n, d / 8)."""
    return np.packbits(vectors > 0, axis=-1)


_SHORTEN: dict[str, Callable[[NDArray[np.float32]], NDArray[Any]]] = {
    "float32": lambda vectors: vectors,
    "int8": to_int8,
    "binary": to_bits,
}
