"""What stands in the way of an export: anything under the names of its models that encserve did not put there.

A version folder is encserve's if the manifest of a published version lists files in it. Nothing else is ever touched.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from encserve_repository.errors import InTheWay
from encserve_repository.layout import MANIFEST_FILE, candidate_model


def check_nothing_in_the_way(repository: Path, names: Iterable[str], models: Iterable[str]) -> None:
    """Refuse to put versions of `models` beside what others made.

    Args:
        repository: the folder.
        names: the pipelines.
        models: the Triton models that they are made of, the ensembles among them.

    Raises:
        InTheWay: names what it found.
        OSError: the repository cannot be read.
    """
    owned = _owned(repository)
    for model in models:
        folder = repository / model
        if not folder.is_symlink() and not folder.exists():
            continue
        if not folder.is_dir():
            raise _in_the_way(folder, "is no folder")
        versions = [entry for entry in folder.iterdir() if entry.name.isdecimal()]
        for entry in sorted(versions):
            if (model, entry.name) not in owned or not entry.is_dir():
                raise _in_the_way(entry, "is no version that encserve published")
        if not versions:
            raise _in_the_way(folder, "is no model that encserve published")
    for name in names:
        if (repository / candidate_model(name)).exists():
            raise _in_the_way(repository / candidate_model(name), f"has a name that promotions of {name} need")


def _owned(repository: Path) -> set[tuple[str, str]]:
    """Return the model and the version of each folder that a manifest lists, or lies in."""
    owned = set()
    for file in repository.glob(f"[!.]*/*/{MANIFEST_FILE}"):
        try:
            paths = [str(path).split("/") for path in json.loads(file.read_bytes())["files"]]
        except (ValueError, KeyError, TypeError):
            continue  # not of encserve
        owned.add((file.parent.parent.name, file.parent.name))
        owned.update((parts[0], parts[1]) for parts in paths if len(parts) > 2)
    return owned


def _in_the_way(path: Path, why: str) -> InTheWay:
    return InTheWay(
        f"{path} {why}, and encserve touches nothing that it did not make: move it away, or export under another --name"
    )
