"""The number of the adapter of each token: the place of its name among those that the pipeline has, 0 for none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..request.options import InvalidArgument


def names_of_texts(asked: str | list[str], count: int) -> list[str]:
    """Return the name of the adapter of each of `count` texts, for a request that asked for one adapter, or for one for
    each text. Raises InvalidArgument: there are more texts than names, or fewer."""
    if isinstance(asked, str):
        return [asked] * count
    if len(asked) != count:
        raise InvalidArgument(f"option adapter has {len(asked)} names for {count} texts; one for each is expected")
    return asked


def adapter_ids(
    asked: str | list[str], numbers: Mapping[str, int], tensors: Mapping[str, NDArray[Any]]
) -> NDArray[np.int64]:
    """Return INT64 (T,) for the packed `tensors` of a request that asked for one adapter, or for one for each text.

    `numbers` has those of the pipeline by name. Raises InvalidArgument: there are more texts than names, or fewer.
    """
    lengths = tensors["lengths"]
    if isinstance(asked, str):
        return np.full(int(lengths.sum()), numbers[asked], np.int64)
    rows = tensors.get("window_count", np.ones(len(lengths), np.int64))  # of each text
    of_texts = np.array([numbers[name] for name in names_of_texts(asked, len(rows))], np.int64)
    return np.repeat(np.repeat(of_texts, rows), lengths)
