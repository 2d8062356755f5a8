"""Jobs about the rows of a Parquet file, and what they have written."""

import pyarrow as pa
import pyarrow.parquet as pq

from encserve_bulk.job import Job
from encserve_bulk.source import Columns, Source


def job_of(folder, rows, **changes):
    """A job about (id, text) rows, in windows of ten."""
    source = folder / "in.parquet"
    pq.write_table(
        pa.table({"id": [row[0] for row in rows], "text": [row[1] for row in rows]}), source, row_group_size=7
    )
    settings = {"verb": "embed", "model": "fake", "output": folder / "out", "options": {}, "window_rows": 10}
    return Job(source=Source(path=source, columns=Columns(id="id", text="text")), **settings | changes)


def rows_in(folder):
    return [row for part in sorted(folder.glob("part-*.parquet")) for row in pq.read_table(part).to_pylist()]
