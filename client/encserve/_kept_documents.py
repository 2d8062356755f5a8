"""Documents of which the vectors of tokens were kept, as a request carries them: base64 in the place of texts."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from encserve._errors import InvalidInput
from encserve._results import TokenEmbeddings

Documents: TypeAlias = Iterable[str] | TokenEmbeddings | Iterable[NDArray[Any]]
"""Texts, or vectors of tokens that were kept."""

KINDS: Mapping[np.dtype[Any], str] = {
    np.dtype(np.float32): "float32",
    np.dtype(np.float16): "float16",
    np.dtype(np.int8): "int8",
    np.dtype(np.uint8): "binary",
}
"""The dtype of an array -> what the option `document_vectors` calls it."""


@dataclass(frozen=True, kw_only=True)
class KeptDocuments:
    """The documents of a call whose vectors were kept."""

    texts: Sequence[str]
    """The vectors of each, in base64."""
    kind: str
    """Their type, as the option `document_vectors` has it."""
    columns: int
    """Columns of each array."""

    @classmethod
    def of_arrays(cls, arrays: Sequence[object]) -> KeptDocuments:
        """The documents of arrays (tokens, columns), one for each.

        Raises:
            InvalidInput: one is no such array, has no row, or differs from the first in its dtype or its columns.
        """
        checked = [_checked(index, own) for index, own in enumerate(arrays)]
        first = checked[0]
        for index, own in enumerate(checked):
            if (own.dtype, own.shape[1]) != (first.dtype, first.shape[1]):
                raise InvalidInput(
                    f"document {index} has vectors of {own.shape[1]} columns, {own.dtype}, and document 0 of "
                    f"{first.shape[1]}, {first.dtype}"
                )
        sent = first.dtype.newbyteorder("<")
        texts = [b64encode(np.ascontiguousarray(own, sent).data).decode() for own in checked]
        return cls(texts=texts, kind=KINDS[first.dtype.newbyteorder("=")], columns=first.shape[1])


def _checked(index: int, own: object) -> NDArray[Any]:
    if not isinstance(own, np.ndarray):
        raise InvalidInput(f"document {index} is a {type(own).__name__} beside arrays of vectors, expected an array")
    if own.ndim != 2 or not own.size:
        raise InvalidInput(
            f"document {index} is an array of shape {own.shape}, expected (tokens, width), none of them 0"
        )
    if own.dtype.newbyteorder("=") not in KINDS:
        raise InvalidInput(f"document {index} has vectors of {own.dtype}, expected {', '.join(map(str, KINDS))}")
    return own
