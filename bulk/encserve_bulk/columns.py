"""Rows as columns of Arrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from encserve import InvalidInput

from .questions import Row

COUNTS = ("token_count", "dropped_count")
ERROR = "error"
_NUMPY = {pa.float32(): np.float32, pa.int8(): np.int8, pa.uint8(): np.uint8, pa.int32(): np.int32}


def columns_of(rows: Sequence[Row], types: Mapping[str, pa.DataType]) -> dict[str, pa.Array]:
    """The columns of the verb, of which `types` has name and type, then the counts and the error."""
    columns = {name: _column([row.values.get(name) for row in rows], kind) for name, kind in types.items()}
    columns |= {name: pa.array([getattr(row, name) for row in rows], pa.int32()) for name in COUNTS}
    return {**columns, ERROR: pa.array([row.error for row in rows], pa.string())}


def _column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """An array of values; lists of numbers, which are most of what is written, out of one block of memory."""
    if not pa.types.is_list(kind) or kind.value_type not in _NUMPY:
        return pa.array(values, kind)
    none = np.empty(0, _NUMPY[kind.value_type])
    lists = [none if value is None else np.asarray(value) for value in values]
    ends = np.cumsum([0, *map(len, lists)], dtype=np.int32)
    missing = pa.array([value is None for value in values])
    block = np.concatenate(lists) if lists else none
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(block, kind.value_type), type=kind, mask=missing)


def check_names(names: Sequence[str], types: Mapping[str, pa.DataType], *further: str) -> None:
    """Refuse columns whose names are those of answers. Raises InvalidInput, which names the first."""
    for name in names:
        if name in (*types, *COUNTS, ERROR, *further):
            raise InvalidInput(f"{name!r} is the name of a column of the answers: give that column another name")
