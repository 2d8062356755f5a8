"""A bulk job from beginning to end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from encserve import Client
from encserve._conversation.progress import Progress

from .answers import FORMS
from .asking import Asker, Started, version_of
from .output import Folder, Format, Identity
from .source import Source

CALLS_AT_ONCE = 3
WINDOWS_AT_ONCE = 2
"""So many windows are in memory: while the last texts of one are answered, the first of the next are asked."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be done."""

    verb: str
    """A name of `FORMS`."""
    model: str
    source: Source
    output: Path
    options: Mapping[str, Any]
    window_rows: int
    format: Format = "parquet"


@dataclass(frozen=True, kw_only=True)
class Done:
    """What was done."""

    rows: int
    """Of the file."""
    before: int
    """Rows that an earlier run had done."""
    errors: int
    """Rows of this run that have an error."""
    seconds: float
    output: Path

    def __str__(self) -> str:
        here = self.rows - self.before
        parts = [f"{self.rows:,} rows in {self.output}"]
        if self.before:
            parts.append(f"{self.before:,} of them done before")
        parts.append(f"{here:,} now, {here / max(self.seconds, 1e-9):,.0f} rows/s")
        if self.errors:
            parts.append(f"{self.errors:,} with an error, in their column `error`")
        return "; ".join(parts)


def run_job(job: Job, client: Client, *, resume: bool) -> Done:
    """Ask about every row, and write a part for each window.

    Raises:
        InvalidInput: the file, an option or the folder is wrong; nothing was asked, or nothing more can be written.
        EncserveError: the server cannot be asked, or another version answers; the job can go on later.
    """
    begun, form = time.monotonic(), FORMS[job.verb]
    rows = job.source.count()
    pipeline = version_of(form, client, job.model, job.options)
    identity = Identity(
        verb=job.verb,
        model=job.model,
        version=pipeline.version,
        certificate=pipeline.certificate,
        options=job.options,
        columns=asdict(job.source.columns),
        input_sha256=job.source.digest(),
        window_rows=job.window_rows,
        format=job.format,
    )
    folder = Folder(path=job.output, identity=identity, types=form.columns(pipeline, job.options))
    with folder.opened(resume=resume) as done_before:
        before = sum(min(job.window_rows, rows - index * job.window_rows) for index in done_before)
        counter = _Counter(Progress(rows - before))
        executor = ThreadPoolExecutor(CALLS_AT_ONCE, "bulk")
        asker = Asker(form=form, client=client, pipeline=pipeline, options=job.options, executor=executor)
        started: deque[Started] = deque()
        try:
            for window in job.source.windows(job.window_rows):
                if window.index not in done_before:
                    started.append(asker.start(window))
                if len(started) == WINDOWS_AT_ONCE:
                    _finish(started.popleft(), folder, counter)
            while started:
                _finish(started.popleft(), folder, counter)
        finally:  # calls that hang end with the client, and nobody waits for them here
            executor.shutdown(wait=False, cancel_futures=True)
    counter.close()
    return Done(rows=rows, before=before, errors=folder.errors, seconds=time.monotonic() - begun, output=job.output)


def _finish(started: Started, folder: Folder, counter: _Counter) -> None:
    rows = started.wait(counter.add)
    folder.put(started.window.index, started.window.ids, rows)


class _Counter:
    """Rows that are answered, and the bar that shows them."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._rows = 0

    def add(self, rows: int) -> None:
        self._rows += rows
        self._progress.update(self._rows)

    def close(self) -> None:
        self._progress.close(self._rows)
