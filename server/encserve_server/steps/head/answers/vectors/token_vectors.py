"""The head of token-embedding: the vectors of tokens to answers, shortened and normalised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from ....request.options import Options
from ...fit import Fit
from .text_vectors import finish_vectors, in_forms


class Head:
    """One vector for each token, special tokens among them."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.fit = Fit({"token_embedding": ("tokens", "width")})

    def answer(self, inputs: Mapping[str, NDArray[Any]], options: Options) -> dict[str, NDArray[Any]]:
        """Return `embedding` (T, dimensions), or one of its shorter forms, from the vectors (T, H) of the tokens of all
        texts. The forms that were not asked for have no columns."""
        return in_forms(finish_vectors(inputs["token_embedding"], options), options)
