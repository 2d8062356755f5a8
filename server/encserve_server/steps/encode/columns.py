"""The packed tensors of one request, taken apart into what each of its texts has."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


def columns_of(tensors: Mapping[str, NDArray[np.int64]]) -> dict[str, list[NDArray[np.int64]]]:
    """Return tensor -> its part for each text: (t,) of a tensor with an element for each token, and of `mask_at` the
    text's own masks."""
    if not len(tensors["lengths"]):  # np.split gives one part at least
        return {name: [] for name in tensors if name != "lengths"}
    ends = np.cumsum(tensors["lengths"])[:-1]
    columns = {}
    for name, tensor in tensors.items():
        if name == "mask_at":
            columns[name] = np.split(tensor, np.searchsorted(tensor, ends))
        elif name != "lengths":
            columns[name] = np.split(tensor, ends)
    return columns
