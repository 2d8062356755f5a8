"""Documents of which a caller kept the vectors of tokens: lists of numbers, or base64."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from encserve._kept_documents import KINDS
from encserve_gateway.bodies.fields import Fields

Kept: TypeAlias = Sequence[str] | Sequence[NDArray[Any]]

TYPE = "document_vectors"
"""The field that says of what type the numbers are; of lists it is float32 without it."""
_DTYPES = {kind: dtype for dtype, kind in KINDS.items()}


async def kept_documents(fields: Fields, name: str, *, most: int) -> Kept | None:
    """The documents of a field, in base64 or as arrays (tokens, columns); None where they are texts. Raises Fault.

    Other requests have their turn between two arrays.
    """
    kind, value = fields.choice(TYPE, tuple(_DTYPES)), fields.get(name)
    if not isinstance(value, list) or not any(isinstance(each, list) for each in value):
        return None if kind is None else fields.texts(name, most=most)
    fields.check_number(name, value, most=most)
    arrays = []
    for index, item in enumerate(value):
        arrays.append(_array(fields, name, index, item, _DTYPES[kind or "float32"]))
        await asyncio.sleep(0)
    return arrays


def options_of_kept(fields: Fields) -> dict[str, Any]:
    """What `rerank` is told of such documents beside them. Raises Fault."""
    return {TYPE: fields.choice(TYPE, tuple(_DTYPES)), "dimensions": fields.whole("dimensions", least=1)}


def _array(fields: Fields, name: str, index: int, item: object, dtype: np.dtype[Any]) -> NDArray[Any]:
    try:
        numbers = np.asarray(item)
    except ValueError:  # lists of different lengths
        numbers = np.empty(0)
    if numbers.ndim != 2 or not numbers.size or numbers.dtype.kind not in ("iuf" if dtype.kind == "f" else "iu"):
        kind = "numbers" if dtype.kind == "f" else "whole numbers"
        raise fields.wrong(name, f"has no list of vectors at {index}, of as many {kind} each")
    if dtype.kind != "f" and not (np.iinfo(dtype).min <= numbers.min() and numbers.max() <= np.iinfo(dtype).max):
        raise fields.wrong(name, f"has a number at {index} that is no {dtype}")
    with np.errstate(over="ignore"):  # the server refuses what is not finite
        return numbers.astype(dtype)
