"""Publishing a version: it is made out of Triton's sight, and put into the repository all or nothing.

What Triton sees appears by renames of whole pieces. A model that is new comes with its config.pbtxt; of one that is
there already only the version folder is new, which Triton does not load before it is activated.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tritonclient.grpc import model_config_pb2 as pb

from encserve_repository.activation import activate
from encserve_repository.config_text import state_version, to_text
from encserve_repository.errors import CannotWrite, DoesNotFit, NotActive, RepositoryError
from encserve_repository.layout import CONFIG_FILE, STEPS, WARMUP_FOLDER, step_models
from encserve_repository.manifest import sha256_of
from encserve_repository.serving import is_served
from encserve_repository.versions import active_config, active_version, published_versions
from encserve_repository.work_folder import WorkFolder, open_work_folder

from .journal import Journal, Piece, carry_out, recover
from .left_behind import clear_left_behind
from .occupied import check_nothing_in_the_way

_ALMOST_NOTHING = 1 << 20
"""The bytes below which a disk is the one that is full."""


@dataclass(frozen=True)
class StagedVersion:
    """A version of pipelines that is being made; `root` mirrors the layout of the repository."""

    work: WorkFolder
    names: tuple[str, ...]
    """The names of the pipelines; they share the encode step of the first."""
    version: int
    engine: str
    steps: tuple[str, ...] = STEPS

    @property
    def root(self) -> Path:
        """The staging folder; it goes away in the end, with whatever else is in it."""
        return self.work.staging(self.names[0])

    @property
    def models(self) -> tuple[str, ...]:
        """Return the Triton models, the ensembles last."""
        steps = (model for name in self.names for model in self._step_models(name).values())
        return (*dict.fromkeys(steps), *self.names)

    def folder(self, model: str) -> Path:
        """Return the version folder of one of the models."""
        return self.root / model / str(self.version)

    def step_folders(self, name: str = "") -> dict[str, Path]:
        """Return the version folders of the steps of the pipeline `name`, or of the first."""
        return {step: self.folder(model) for step, model in self._step_models(name or self.names[0]).items()}

    def _step_models(self, name: str) -> dict[str, str]:
        return step_models(name, self.names[0], self.engine, self.steps)

    def write_warmup(self, files: Mapping[str, bytes]) -> None:
        """Write what Triton sends to the encode step before it is ready; Triton reads it beside the versions."""
        folder = self.step_folders()["encode"].parent / WARMUP_FOLDER
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)

    def write_configs(self, configs: Mapping[str, pb.ModelConfig]) -> None:
        """Write the configurations of models into their version folders; those of steps before `digests` is asked."""
        for model, config in configs.items():
            (self.folder(model) / CONFIG_FILE).write_text(to_text(config), encoding="utf-8")

    def digests(self, name: str = "") -> dict[str, str]:
        """Return the sha256 of every file of this version of a pipeline, by path within the repository."""
        folders = (*self.step_folders(name).values(), self.folder(name or self.names[0]))
        found = sorted(file for folder in folders for file in folder.rglob("*") if file.is_file())
        return {file.relative_to(self.root).as_posix(): sha256_of(file) for file in found}


@contextmanager
def staged_version(
    repository: Path, *names: str, engine: str = "python", steps: tuple[str, ...] = STEPS
) -> Iterator[StagedVersion]:
    """Reserve the next version of pipelines and give a folder to make it in; the folder goes away in the end.

    Each has these `steps`. All of `names` use the encode step of the first, which runs in `engine`. What killed exports
    left is cleared away first.

    Raises:
        Busy: another export or promotion of one of them is running.
        InTheWay: something of others stands under the name of one of their models.
        CannotWrite: the repository cannot be written, or its disk is full.
    """
    with _about_the_repository(repository):
        work = open_work_folder(repository)
        with work.locked(*names):
            recover(work, names)
            clear_left_behind(work, but=names)
            root = work.staging(names[0])
            shutil.rmtree(root, ignore_errors=True)
            before = (version for name in names for version in published_versions(work.repository, name))
            staged = StagedVersion(work, names, max(before, default=0) + 1, engine, steps)
            check_nothing_in_the_way(work.repository, names, staged.models)
            try:
                for model in staged.models:
                    staged.folder(model).mkdir(parents=True)
                yield staged
            finally:
                if not work.journal(names[0]).exists():
                    shutil.rmtree(root, ignore_errors=True)


def publish(staged: StagedVersion, configs: Mapping[str, pb.ModelConfig], *, active: bool | None = None) -> list[str]:
    """Put a finished version into the repository; `configs` by model, which `write_configs` has written.

    A pipeline of which no version was active yet serves this one. Of others it becomes the active one if `active`, or
    if that is None and no server runs on the repository: what a running server will serve when it starts again is
    decided by `encserve promote`. Returns the pipelines of which it is active.

    Raises:
        DoesNotFit: the version does not fit beside those that are published.
        InTheWay: something of others has appeared under the name of one of its models.
        Damaged: what is active cannot be read.
        OSError: the repository cannot be written.
        NotActive: all of it is published, but what should have become active is not; otherwise nothing is published.
    """
    work = staged.work
    check_fits(work.repository, configs)
    check_nothing_in_the_way(work.repository, staged.names, staged.models)  # it took a while
    active_before = {name: active_version(work.repository, name) for name in staged.names}
    new = [model for model in configs if not (work.repository / model).exists()]
    for model in new:
        config = pb.ModelConfig()
        config.CopyFrom(configs[model])
        if model not in staged.names:
            state_version(config, staged.version)
        (staged.root / model / CONFIG_FILE).write_text(to_text(config), encoding="utf-8")
    pieces = {model: _pieces(staged, model, whole=model in new) for model in configs}
    steps = [model for model in configs if model not in staged.names]
    carry_out(
        work,
        Journal(
            names=staged.names,
            version=staged.version,
            steps=tuple(piece for model in steps for piece in pieces[model]),
            ensembles=tuple(piece for name in staged.names for piece in pieces[name]),
        ),
    )
    activated = [name for name in staged.names if name in new]
    for name in staged.names:
        if name in new:
            continue
        try:
            if active_before[name] is None or (active if active is not None else not is_served(work.repository)):
                activate(work, name, staged.version)
                activated.append(name)
        except (OSError, RepositoryError) as error:
            said = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
            raise NotActive(f"version {staged.version} of {name} is published, but not active: {said}") from error
    return activated


def _pieces(staged: StagedVersion, model: str, *, whole: bool) -> list[Piece]:
    """Return the pieces of a model that are moved: all of it where it is new, else its version and warm-up files that
    are not there."""
    if whole:
        return [_piece(staged.root, staged.root / model)]
    pieces = [_piece(staged.root, staged.folder(model))]
    warmup = staged.root / model / WARMUP_FOLDER
    there = staged.work.repository / model / WARMUP_FOLDER
    if warmup.is_dir() and not there.is_dir():
        pieces.append(_piece(staged.root, warmup))
    elif warmup.is_dir():  # named after their content
        pieces += [_piece(staged.root, file) for file in sorted(warmup.iterdir()) if not (there / file.name).exists()]
    return pieces


def _piece(root: Path, path: Path) -> Piece:
    files = (file.relative_to(path).as_posix() for file in sorted(path.rglob("*")) if file.is_file())
    return Piece(path.relative_to(root).as_posix(), tuple(files))


def check_fits(repository: Path, configs: Mapping[str, pb.ModelConfig]) -> None:
    """Refuse a version that does not fit beside those that are published, `configs` by model: all versions of a model
    share one config.pbtxt, so a new one must have the same backend and tensors.

    Raises:
        DoesNotFit: names the model, and what differs.
        Damaged: what is active cannot be read.
    """
    for model, config in configs.items():
        before = active_config(repository, model)
        for field in ("backend", "platform", "input", "output"):
            if before is not None and getattr(before, field) != getattr(config, field):
                raise DoesNotFit(
                    f"{config.name} is published with another {field}: versions of one pipeline share tensors, and "
                    "engine but for tensorrt. Export under another --name, or remove the old pipeline first"
                )


@contextmanager
def _about_the_repository(repository: Path) -> Iterator[None]:
    """Turn an OSError that concerns the repository into an error of this package; other errors are none of ours."""
    try:
        yield
    except OSError as error:
        if not _concerns(repository, error):
            raise
        raise CannotWrite(
            f"cannot write to the model repository: {error.filename or repository}: {error.strerror}; "
            "nothing was published"
        ) from error


def _concerns(repository: Path, error: OSError) -> bool:
    """Return whether the file that `error` names lies in the repository or beside it, or its disk is the one that is
    full."""
    if isinstance(error.filename, str | bytes | os.PathLike):
        file = Path(os.fsdecode(error.filename)).absolute()
        real = repository.resolve()
        work = real.parent / f".{real.name}.encserve"
        places = (real, work, repository.absolute())
        return any(file == place or place in file.parents or file in place.parents for place in places)
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return False
    try:
        return shutil.disk_usage(repository).free < _ALMOST_NOTHING
    except OSError:
        return False
