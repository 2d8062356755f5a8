"""The journal of a publication: what it may put into a repository, written down before the first of it is there.

A version is made in the staging folder, in the layout of the repository, and moved from there piece by piece. So what
still stands in staging was not moved, and what the journal lists and staging lacks is in the repository, and is ours.
The steps are moved first. Once the first ensemble is moved the version is published, and the rest follows, whoever does
it; before that everything is moved back.
"""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from encserve_repository import durable
from encserve_repository.activation import narrow, widen
from encserve_repository.errors import Damaged, InTheWay
from encserve_repository.work_folder import WorkFolder

_COMPILED = "__pycache__"
"""The folder in which Python keeps what it compiled of a step's files, beside them."""


@dataclass(frozen=True)
class Piece:
    """A file or folder that is moved as one."""

    path: str
    """The path within staging and within the repository."""
    files: tuple[str, ...]
    """The files in the piece, by path within it; none where it is a file."""

    @property
    def is_new_model(self) -> bool:
        """Return whether it is a whole model, not a part of one that is there."""
        return "/" not in self.path


@dataclass(frozen=True)
class Journal:
    """A publication that is under way."""

    names: tuple[str, ...]
    """The names of the pipelines."""
    version: int
    steps: tuple[Piece, ...]
    ensembles: tuple[Piece, ...]

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The pieces, in the order in which they are moved."""
        return (*self.steps, *self.ensembles)

    @property
    def step_models(self) -> set[str]:
        """Return the Triton models of the steps."""
        return {piece.path.partition("/")[0] for piece in self.steps}


def carry_out(work: WorkFolder, journal: Journal) -> None:
    """Write the journal, move the pieces, and drop the journal.

    Raises:
        InTheWay: something stands where a piece would be put.
        OSError: the repository cannot be written. In both cases all is as it was, or the journal says what is not.
    """
    file = work.journal(journal.names[0])
    durable.sync_tree(work.staging(journal.names[0]))
    work.write(file, json.dumps(asdict(journal)).encode())
    try:
        _move_in(work, journal)
    except BaseException as error:
        published = _settle(work, journal)
        if not published or not isinstance(error, Exception):  # Ctrl-C ends the export also when all is in place
            durable.remove_file(file)
            raise
    with suppress(OSError):  # all is in place: the next export drops it
        durable.remove_file(file)


def recover(work: WorkFolder, names: Iterable[str]) -> None:
    """Finish or undo what a killed publication of any of the pipelines left; the caller holds their locks.

    Raises:
        Busy: a pipeline that was published together with them is locked by another.
        InTheWay: others have put something in or where the pieces are.
        Damaged: a journal cannot be read, or the staging folder that it speaks of is gone.
        OSError: the repository cannot be written.
    """
    wanted = set(names)
    found = [(place, file) for place in work.places for file in sorted(place.path.glob("*/journal.json"))]
    for place, file in found:
        journal = _read(file)
        if journal is None or wanted.isdisjoint(journal.names):
            continue
        with work.locked(*(set(journal.names) - wanted)):
            staging = place.staging(journal.names[0])
            if not staging.is_dir():
                raise Damaged(
                    f"{file} tells of an export of version {journal.version} that was interrupted, and {staging}, from "
                    f"which it went on, is gone: remove that version of {', '.join(journal.names)} by hand, then {file}"
                )
            _settle(place, journal)
            durable.remove_file(file)
            shutil.rmtree(staging)


def _settle(work: WorkFolder, journal: Journal) -> bool:
    """Move the rest in, where the version is published, and otherwise everything out. Returns whether it was
    published."""
    published = any(_is_moved(work, journal, piece) for piece in journal.ensembles)
    if published:
        _move_in(work, journal)
    else:
        _move_out(work, journal)
    return published


def _read(file: Path) -> Journal | None:
    """Return the journal; None where the publication has ended meanwhile. Raises Damaged, OSError."""
    try:
        stated = json.loads(file.read_bytes())
        pieces = {
            key: tuple(Piece(piece["path"], tuple(piece["files"])) for piece in stated[key])
            for key in ("steps", "ensembles")
        }
        return Journal(tuple(stated["names"]), int(stated["version"]), pieces["steps"], pieces["ensembles"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(f"{file} is no journal of a publication: {error}") from error


def _is_moved(work: WorkFolder, journal: Journal, piece: Piece) -> bool:
    return not (work.staging(journal.names[0]) / piece.path).exists()


def _move_in(work: WorkFolder, journal: Journal) -> None:
    for piece in journal.pieces:
        target = work.repository / piece.path
        if _is_moved(work, journal, piece):
            continue
        if piece.is_new_model and piece in journal.ensembles:  # it is active once it is there
            widen(work, journal.step_models, journal.version)
        if target.is_symlink() or target.exists():
            raise InTheWay(f"{target} was put there meanwhile, and encserve touches nothing that it did not make")
        durable.move(work.staging(journal.names[0]) / piece.path, target)


def _move_out(work: WorkFolder, journal: Journal) -> None:
    narrow(work, journal.step_models)
    for piece in reversed(journal.pieces):
        target = work.repository / piece.path
        if not _is_moved(work, journal, piece) or not (target.is_symlink() or target.exists()):
            continue
        for entry in (target, *target.rglob("*")):
            if not _is_of(piece, target, entry):
                raise InTheWay(f"{entry} is not of encserve, and lies in what an interrupted export left: move it away")
        durable.move(target, work.staging(journal.names[0]) / piece.path)


def _is_of(piece: Piece, target: Path, entry: Path) -> bool:
    """Return whether an entry of the folder at `target`, or `target` itself, is one that the piece was made of."""
    path, mode = PurePosixPath(entry.relative_to(target)), entry.lstat().st_mode
    folders = {folder for file in piece.files for folder in PurePosixPath(file).parents}
    if stat.S_ISDIR(mode):
        return path in folders or path.name == _COMPILED
    ours = path.as_posix() in (piece.files or (".",)) or path.parent.name == _COMPILED
    return ours and stat.S_ISREG(mode)
