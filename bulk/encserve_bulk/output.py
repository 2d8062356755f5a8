"""The folder of a job: a part for each window, and what the job is, so that a killed one goes on."""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from encserve import InvalidInput

from .columns import COUNTS, ERROR, columns_of
from .questions import Row

JOB_FILE = "encserve-job.json"
Format = Literal["parquet", "jsonl"]


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What must be the same for parts to stand in one folder."""

    verb: str
    model: str
    version: str
    certificate: str
    options: Mapping[str, Any]
    columns: Mapping[str, str | None]
    input_sha256: str
    window_rows: int
    format: Format

    def refuse_other(self, other: Mapping[str, Any], where: Path) -> None:
        """Refuse what another job has begun.

        Raises:
            InvalidInput: it names each difference.
        """
        mine = json.loads(json.dumps(asdict(self)))
        differing = [name for name in mine if mine[name] != other.get(name)]
        if differing:
            said = "; ".join(f"{name} {other.get(name)!r}, now {mine[name]!r}" for name in differing)
            raise InvalidInput(f"{where} was begun with {said}: begin anew in another folder")


@dataclass(kw_only=True)
class Folder:
    """Where the parts of a job are."""

    path: Path
    identity: Identity
    types: Mapping[str, pa.DataType]
    """Name and type of each column of the verb."""
    errors: int = field(default=0, init=False)
    """Rows with an error, in parts that were written by this run."""

    def __post_init__(self) -> None:
        name = self.identity.columns["id"]
        if name in (*self.types, *COUNTS, ERROR):
            raise InvalidInput(
                f"--id is {name!r}, which is the name of a column of the answers: give the ids another name in the file"
            )

    @contextmanager
    def opened(self, *, resume: bool) -> Iterator[set[int]]:
        """Make the folder ready, and keep other runs away from it within the block; yields the windows that are done.

        Raises:
            InvalidInput: it holds something and `resume` is not set, or another job's parts, or cannot be written, or
                another run writes to it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            self._lock(folder)
            try:
                done = self._begun(resume)
            except OSError as error:
                raise self._unwritable(error) from error
            yield done
        finally:
            os.close(folder)

    def _lock(self, folder: int) -> None:
        """Hold the folder as long as its descriptor is open."""
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InvalidInput(f"another run of this job writes to {self.path}") from error
        except OSError:  # a file system without locks
            pass

    def _begun(self, resume: bool) -> set[int]:
        _pending(self.path / JOB_FILE).unlink(missing_ok=True)  # of a job that was killed before it had begun
        if not any(self.path.iterdir()):
            self._write(self.path / JOB_FILE, self._write_job)
            return set()
        return self._go_on(resume)

    def _unwritable(self, error: OSError) -> InvalidInput:
        return InvalidInput(f"cannot write to {self.path}: {error.strerror or error}")

    def put(self, index: int, ids: pa.Array, rows: Sequence[Row]) -> None:
        """Write the part of a window, whole or not at all.

        Raises:
            InvalidInput: it cannot be written.
        """
        self.errors += sum(row.error is not None for row in rows)
        try:
            self._write(self._part(index), lambda file: self._write_part(file, ids, rows))
        except OSError as error:
            raise self._unwritable(error) from error

    def _go_on(self, resume: bool) -> set[int]:
        job = self.path / JOB_FILE
        if not resume:
            what = "a job, which --resume goes on with" if job.exists() else "files of others"
            raise InvalidInput(f"{self.path} holds {what}; give an empty folder, or one that is not there")
        if not job.exists():
            raise InvalidInput(f"{self.path} holds no job to go on with: there is no {JOB_FILE}")
        try:
            begun = dict(json.loads(job.read_text(encoding="utf-8")).items())
        except (ValueError, AttributeError) as error:
            raise InvalidInput(f"{job} is damaged: begin anew in another folder") from error
        self.identity.refuse_other(begun, self.path)
        for pending in self.path.glob(".*.pending"):
            pending.unlink()
        parts = re.compile(rf"part-(\d{{6,}})\.{self.identity.format}")
        return {int(part[1]) for path in self.path.iterdir() if (part := parts.fullmatch(path.name))}

    def _part(self, index: int) -> Path:
        return self.path / f"part-{index:06}.{self.identity.format}"

    def _write(self, target: Path, write: Callable[[Path], None]) -> None:
        """Write a sibling, have it reach the disk, and give it the name."""
        pending = _pending(target)
        write(pending)
        with pending.open("rb") as file:
            os.fsync(file.fileno())
        pending.replace(target)

    def _write_job(self, file: Path) -> None:
        file.write_text(json.dumps(asdict(self.identity), indent=2) + "\n", encoding="utf-8")

    def _write_part(self, file: Path, ids: pa.Array, rows: Sequence[Row]) -> None:
        table = self._table(ids, rows)
        if self.identity.format == "parquet":
            pq.write_table(table, file)
            return
        with file.open("w", encoding="utf-8") as lines:
            for line in table.to_pylist():
                lines.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")  # ids may be times

    def _table(self, ids: pa.Array, rows: Sequence[Row]) -> pa.Table:
        named: dict[str, pa.Array] = {str(self.identity.columns["id"]): ids, **columns_of(rows, self.types)}
        table = pa.table(named)
        return table.replace_schema_metadata({"encserve": json.dumps(asdict(self.identity))})


def _pending(target: Path) -> Path:
    """The name of a file until it is whole."""
    return target.with_name(f".{target.name}.pending")
