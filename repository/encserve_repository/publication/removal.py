"""Removing every pipeline that encserve published into a repository, and nothing else.

What goes is what manifests list and is still as it was published, with the configurations and warm-ups that belong to
it. Whatever else lies in or beside it stays, and is named. A manifest goes last, so that whoever is interrupted can
begin again.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from encserve_repository import durable
from encserve_repository.config_text import certificate_of, read_config
from encserve_repository.errors import Busy, Damaged, RepositoryError
from encserve_repository.layout import BUILD_LOG_FILE, CONFIG_FILE, MANIFEST_FILE, WARMUP_FOLDER
from encserve_repository.manifest import sha256_of
from encserve_repository.serving import is_served
from encserve_repository.work_folder import WorkFolder, find_work_folder, open_work_folder

from .journal import recover

_COMPILED = "__pycache__"
"""The folder in which Python keeps what it compiled of a step's files, beside them."""


def remove_pipelines(repository: Path, say: Callable[[str], None]) -> None:
    """Remove every pipeline, and the work folder; `say` takes what is removed and what is left.

    Raises:
        Busy: a server runs on the repository, or an export or promotion of a pipeline, and nothing was removed.
        InTheWay: others have put something where an interrupted export is to be undone.
        Damaged: the journal of an interrupted export cannot be read.
        OSError: something cannot be removed.
    """
    if not repository.is_dir():
        return
    if is_served(repository):
        raise Busy(f"a server runs on {repository}: stop it first")
    work = find_work_folder(repository)
    if not _manifests(work.repository) and not work.path.is_dir():
        return
    work = open_work_folder(repository)
    names = {*_manifests(work.repository), *_worked_on(work)}
    with work.locked(*names):
        recover(work, names)
        manifests = _manifests(work.repository)
        for name in manifests:
            say(f"removing {work.repository / name} and its steps")
        stated = {file: _stated(file) for files in manifests.values() for file in files}
        steps = {path.parts[0] for files in stated.values() for path in files} - {*manifests}
        for model in sorted(steps):
            _remove_warmups(work.repository / model)
        for files in stated.values():
            _remove_files(work.repository, files)
        left = [model for model in sorted(steps) if not _remove_step(work.repository / model)]
        left += [name for name in manifests if not _remove_ensemble(work, name)]
        for model in left:
            say(f"left {work.repository / model}: in it is what encserve did not make, or what was changed since")
        for place in work.places:
            _remove_place(place, names)


def _worked_on(work: WorkFolder) -> set[str]:
    """Return the pipelines that have something in the work folder."""
    places = [place.path for place in work.places if place.path.is_dir()]
    return {entry.name for place in places for entry in place.iterdir() if entry.is_dir()}


def _manifests(repository: Path) -> dict[str, list[Path]]:
    """Return the manifests of encserve, of this release or another, by pipeline."""
    found: dict[str, list[Path]] = {}
    for file in sorted(repository.glob(f"[!.]*/*/{MANIFEST_FILE}")):
        if file.parent.name.isdecimal() and _stated(file):
            found.setdefault(file.parent.parent.name, []).append(file)
    return found


def _stated(manifest: Path) -> dict[PurePosixPath, str]:
    """Return the sha256 of the files of a version, by path within the repository; none where it is no manifest of
    encserve."""
    try:
        stated = json.loads(manifest.read_bytes())
        files = {PurePosixPath(path): str(sha256) for path, sha256 in stated["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    if "contract_version" not in stated:
        return {}
    return {path: sha256 for path, sha256 in files.items() if _is_of_a_version(path)}


def _is_of_a_version(path: PurePosixPath) -> bool:
    return len(path.parts) > 2 and path.parts[1].isdecimal() and ".." not in path.parts and not path.is_absolute()


def _remove_warmups(model: Path) -> None:
    """Remove the files that the configurations of a step have Triton read before it is ready."""
    folder = model / WARMUP_FOLDER
    if folder.resolve() != folder:  # a link leads to it
        return
    for file in (model / CONFIG_FILE, *model.glob(f"*/{CONFIG_FILE}")):
        with suppress(OSError, Damaged):
            samples = read_config(file).model_warmup
            for name in {tensor.input_data_file for sample in samples for tensor in sample.inputs.values()} - {""}:
                (folder / Path(name).name).unlink(missing_ok=True)
    with suppress(OSError):  # there is none, or something of others is in it
        folder.rmdir()


def _remove_files(repository: Path, files: dict[PurePosixPath, str]) -> None:
    """Remove files that are as they were published, and the folders that this empties but for what Python compiled."""
    for path, sha256 in files.items():
        file = repository / path
        is_here = file.parent.resolve() == file.parent and not file.is_symlink()  # no link leads to it
        if is_here and file.is_file() and sha256_of(file) == sha256:
            file.unlink()
        folder, model = file.parent, repository / path.parts[0]
        while is_here and folder != model and folder.is_dir():
            if any(entry.name != _COMPILED for entry in folder.iterdir()):
                break
            shutil.rmtree(folder)
            folder = folder.parent


def _remove_step(model: Path) -> bool:
    """Remove what is left of a step; returns whether nothing of others is in it."""
    if model.is_symlink() or not model.is_dir():
        return not model.is_symlink()
    if any(entry.name != CONFIG_FILE for entry in model.iterdir()):
        return False
    (model / CONFIG_FILE).unlink(missing_ok=True)
    model.rmdir()
    return True


def _remove_ensemble(work: WorkFolder, name: str) -> bool:
    """Remove what is left of a pipeline, at once where nothing of others is in it; returns whether that is so."""
    model = work.repository / name
    manifests = _manifests(work.repository)[name]
    certificates = {sha256_of(manifest) for manifest in manifests}
    configs = [
        file
        for file in (model / CONFIG_FILE, *(manifest.parent / CONFIG_FILE for manifest in manifests))
        if file.is_file() and _certificate(file) in certificates
    ]
    logs = [file for manifest in manifests if (file := manifest.parent / BUILD_LOG_FILE).is_file()]
    ours = {*configs, *manifests, *logs, *(manifest.parent for manifest in manifests)}
    if not model.is_symlink() and ours.issuperset(model.rglob("*")):
        durable.move(model, work.of(name) / "removed")
        return True
    for file in (*configs, *logs, *manifests):
        file.unlink()
    for manifest in manifests:
        with suppress(OSError):  # something of others is in it
            manifest.parent.rmdir()
    return False


def _certificate(config: Path) -> str:
    with suppress(Damaged):
        return certificate_of(read_config(config))
    return ""


def _remove_place(place: WorkFolder, names: set[str]) -> None:
    """Remove the work folder, but for what somebody else has begun in it meanwhile; `names` are locked."""
    for name in names:
        shutil.rmtree(place.of(name), ignore_errors=True)
    for timings in place.timings:
        timings.unlink()
    with suppress(OSError):
        place.path.rmdir()


def main() -> int:
    """Remove the pipelines of the repositories that the arguments name. Returns the exit code: 1 where it refuses."""
    for repository in sys.argv[1:]:
        try:
            remove_pipelines(Path(repository), print)
        except (RepositoryError, OSError) as error:
            print(f"{error}; nothing else was removed", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
