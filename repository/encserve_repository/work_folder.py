"""The folder in which encserve works on a repository, out of Triton's sight: locks, journals, and versions that are
being made.

It lies beside the repository, `.NAME.encserve` for the repository NAME, since Triton takes every folder inside for a
model, hidden ones too. Where no folder beside it can be used, as with a repository that is mounted by itself into a
container, it is `.encserve` inside; not where one is there beside that another user keeps to himself. Once there is one
inside everybody uses it, and whoever sees an older one beside the repository heeds the locks and journals in it, too.
Each pipeline has a folder in it:

    minilm/lock            an flock, held by an export, a promotion or a build of the pipeline
    minilm/staging/        the version that is being made, in the layout of the repository
    minilm/journal.json    what a publication may have put into the repository; only while it is under way
    minilm/build.log       what a build in the background says, until its plan is published
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from . import durable
from .errors import Busy
from .layout import BUILD_LOG_FILE

INSIDE = ".encserve"
TIMINGS = ".tensorrt-"
"""How the names of the files begin in which TensorRT's timings are kept, for each version and GPU one."""
_NOT_ALLOWED = (errno.EACCES, errno.EPERM)
_ELSEWHERE = (errno.EXDEV, errno.EROFS, *_NOT_ALLOWED)


@dataclass(frozen=True)
class WorkFolder:
    """The work folder of one repository."""

    repository: Path
    path: Path

    @property
    def places(self) -> tuple[WorkFolder, ...]:
        """Return this work folder, and the one beside the repository that was in use before it."""
        beside = _beside(self.repository)
        return (self, WorkFolder(self.repository, beside)) if self.is_inside and beside.is_dir() else (self,)

    @property
    def is_inside(self) -> bool:
        """Return whether it lies in the repository, where a Triton that polls would take it for a model."""
        return self.path.parent == self.repository

    def of(self, name: str) -> Path:
        """Return the folder of one pipeline."""
        return self.path / name

    def staging(self, name: str) -> Path:
        """Return the folder in which a version of pipelines is made, of which `name` is the first."""
        return self.of(name) / "staging"

    def journal(self, name: str) -> Path:
        """Return the file that says how far the publication of a pipeline came."""
        return self.of(name) / "journal.json"

    def build_log(self, name: str) -> Path:
        """Return the file with what a build in the background says."""
        return self.of(name) / BUILD_LOG_FILE

    def keep_build_log(self, name: str, version: int) -> None:
        """Put the log of a build beside the manifest of the version that came of it. Raises OSError."""
        durable.move(self.build_log(name), self.repository / name / str(version) / BUILD_LOG_FILE)

    @property
    def timings(self) -> Iterator[Path]:
        """What TensorRT measured of its kernels, for the next plan: files that builders keep here."""
        return self.path.glob(f"{TIMINGS}*")

    @contextmanager
    def locked(self, *names: str) -> Iterator[None]:
        """Keep others from exporting or promoting these pipelines; the lock ends with its process.

        Raises:
            Busy: another holds one of them.
            OSError: the work folder cannot be written.
        """
        with ExitStack() as held:
            for name in sorted(set(names)):
                for place in self.places:
                    held.enter_context(place._lock(name))
            yield

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        durable.make_folder(self.of(name))
        with (self.of(name) / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log = self.build_log(name)
                said = f"{log} has what it says" if log.is_file() else f"it holds {lock.name}"
                raise Busy(f"another export or promotion of {name!r} to {self.repository} is running; {said}") from None
            yield

    def write(self, file: Path, content: bytes) -> None:
        """Put a file with this content in the place of `file`, at once. Raises OSError."""
        written = self.path / f"{file.parent.name}.{file.name}.new"
        try:
            durable.write_file(written, content)
            durable.move(written, file)
        except BaseException:
            with suppress(OSError):
                written.unlink(missing_ok=True)
            raise


def find_work_folder(repository: Path) -> WorkFolder:
    """Return the work folder of a repository, which need not be there yet."""
    real = repository.resolve()
    inside = real / INSIDE
    return WorkFolder(real, inside if inside.is_dir() else _beside(real))


def _beside(repository: Path) -> Path:
    return repository.parent / f".{repository.name}.encserve"


def open_work_folder(repository: Path) -> WorkFolder:
    """Return the work folder of a repository; both are made where they are not there.

    Raises:
        OSError: one of them cannot be written.
    """
    durable.make_folder(repository)
    found = find_work_folder(repository)
    if not found.is_inside:
        is_there = found.path.is_dir()
        try:
            durable.make_folder(found.path)
            _check_renames(found)
        except OSError as error:
            # Of another user's folder beside there is none inside: all would use that, and its owner could not.
            if error.errno not in _ELSEWHERE or (is_there and error.errno in _NOT_ALLOWED):
                raise
            with suppress(OSError):
                found.path.rmdir()
            found = WorkFolder(found.repository, found.repository / INSIDE)
    durable.make_folder(found.path)
    return found


def _check_renames(work: WorkFolder) -> None:
    """Refuse a work folder from which no file can be moved into the repository: not from one mount to another."""
    name = f".encserve-probe-{os.getpid()}-{secrets.token_hex(4)}"  # others may probe now, from other hosts, too
    probe, moved = work.path / name, work.repository / name
    try:
        probe.touch()
        probe.rename(moved)
    finally:
        for file in (probe, moved):
            with suppress(OSError):
                file.unlink(missing_ok=True)
