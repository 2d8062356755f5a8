"""The rows that a job is about: a Parquet file, or JSON lines."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from encserve import InvalidInput

_BLOCK = 1 << 20
_IDS_AT_ONCE = 65_536
Column: TypeAlias = pa.Array | list[Any]


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The names of the columns that a job reads."""

    id: str
    text: str
    query: str | None = None
    """The column of the query, of jobs that rank."""

    @property
    def names(self) -> list[str]:
        """All of them, each once."""
        return list(dict.fromkeys([self.id, self.text, *([self.query] if self.query else [])]))


@dataclass(frozen=True, kw_only=True)
class Window:
    """Some consecutive rows."""

    index: int
    """Its place among the windows, from 0."""
    ids: pa.Array
    texts: list[Any]
    """The text of each row, or what stands in its place."""
    queries: list[Any]
    """The query of each row; empty without a column of queries."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file of rows."""

    path: Path
    columns: Columns

    def windows(self, rows: int) -> Iterator[Window]:
        """The rows in their order, so many at a time, the last ones fewer. Ids of JSON lines become strings.

        Raises:
            InvalidInput: the file cannot be read, a column is not there, or a line is no JSON object.
        """
        columns = self.columns
        for index, read in enumerate(self._columns(rows, columns.names)):
            yield Window(
                index=index,
                ids=read[columns.id],
                texts=_values(read[columns.text]),
                queries=_values(read[columns.query]) if columns.query else [],
            )

    def count(self) -> int:
        """The number of rows, whose ids must be distinct and there; memory for eight bytes a row.

        Raises:
            InvalidInput: an id is missing or stands at two rows; or as with `windows`.
        """
        hashes = array("q")
        for read in self._columns(_IDS_AT_ONCE, [self.columns.id]):
            ids = _values(read[self.columns.id])
            if None in ids:
                raise InvalidInput(f"{self.path}: row {len(hashes) + ids.index(None) + 1} has no {self.columns.id!r}")
            hashes.extend(map(hash, ids))
        if not hashes:
            raise InvalidInput(f"{self.path} has no rows")
        ordered = np.sort(np.frombuffer(hashes, np.int64))
        if len(suspects := set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())):
            self._check_suspects(suspects)
        return len(hashes)

    def digest(self) -> str:
        """SHA-256 of the file, in hexadecimal."""
        with self.path.open("rb") as file:
            return _digest(file)

    def _check_suspects(self, suspects: set[int]) -> None:
        """Tell ids that stand twice from ids whose hashes are equal by chance."""
        seen: set[Any] = set()
        for read in self._columns(_IDS_AT_ONCE, [self.columns.id]):
            for identity in _values(read[self.columns.id]):
                if identity in seen:
                    raise InvalidInput(f"{self.path}: the id {identity!r} stands at two rows")
                if hash(identity) in suspects:
                    seen.add(identity)

    def _columns(self, rows: int, names: Sequence[str]) -> Iterator[Mapping[str, Column]]:
        of_lines = self.path.suffix == ".jsonl"
        try:
            yield from self._of_lines(rows, names) if of_lines else self._of_parquet(rows, names)
        except OSError as error:
            raise InvalidInput(f"cannot read {self.path}: {error}") from error

    def _of_parquet(self, rows: int, names: Sequence[str]) -> Iterator[Mapping[str, Column]]:
        try:
            file = pq.ParquetFile(self.path)
        except pa.ArrowInvalid as error:
            message = f"{self.path} is no Parquet file, and its name does not end in .jsonl: {error}"
            raise InvalidInput(message) from error
        for name in names:
            if name not in file.schema_arrow.names:
                raise InvalidInput(f"{self.path} has no column {name!r}, only {', '.join(file.schema_arrow.names)}")
        kind = file.schema_arrow.field(self.columns.id).type
        if pa.types.is_nested(kind):
            raise InvalidInput(f"{self.path}: the column {self.columns.id!r} is of the type {kind}, which is no id")
        waiting = file.schema_arrow.empty_table().select(list(names))
        for batch in file.iter_batches(batch_size=rows, columns=list(names)):
            # A row group ends a batch early; windows are all of one size, wherever groups end.
            waiting = pa.concat_tables([waiting, pa.Table.from_batches([batch]).select(list(names))])
            while waiting.num_rows >= rows:
                yield _arrays(waiting.slice(0, rows))
                waiting = waiting.slice(rows)
        if waiting.num_rows:
            yield _arrays(waiting)

    def _of_lines(self, rows: int, names: Sequence[str]) -> Iterator[Mapping[str, Column]]:
        columns: dict[str, list[Any]] = {name: [] for name in names}
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                fields = self._fields(line, number)
                for name, values in columns.items():
                    values.append(fields.get(name))
                if len(columns[names[0]]) == rows:
                    yield self._with_ids(columns)
                    columns = {name: [] for name in names}
        if columns[names[0]]:
            yield self._with_ids(columns)

    def _with_ids(self, columns: Mapping[str, list[Any]]) -> Mapping[str, Column]:
        ids = [None if each is None else str(each) for each in columns[self.columns.id]]
        return {**columns, self.columns.id: pa.array(ids, pa.string())}

    def _fields(self, line: bytes, number: int) -> Mapping[str, Any]:
        try:
            fields = json.loads(line)
        except ValueError as error:
            raise InvalidInput(f"{self.path}, line {number} is no JSON: {error}") from error
        if not isinstance(fields, dict):
            raise InvalidInput(f"{self.path}, line {number} is no JSON object")
        try:
            str(fields.get(self.columns.id)).encode()
        except UnicodeEncodeError as error:
            raise InvalidInput(f"{self.path}, line {number} has an id that is no Unicode text: {error}") from error
        return fields


def _arrays(table: pa.Table) -> Mapping[str, Column]:
    return {name: table.column(name).combine_chunks() for name in table.column_names}


def _values(column: Column) -> list[Any]:
    return column if isinstance(column, list) else column.to_pylist()


def _digest(file: Any) -> str:
    whole = hashlib.sha256()
    while block := file.read(_BLOCK):
        whole.update(block)
    return whole.hexdigest()
