"""Which version of a pipeline is active: what Triton loads of it, now or at its next start.

The ensemble's config.pbtxt alone says it, and in the same file which version was active before. Putting another in its
place is one rename, and so is stating a candidate, a version that answers a share of the callers beside it. The steps
offer the versions that active ensembles name, and those of their candidates: before the rename they are given the new
one besides, and after it the old one is taken away, so at each moment what is active can be served.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tritonclient.grpc import model_config_pb2 as pb

from .config_text import (
    candidate_version,
    keep_candidate,
    keep_previous,
    keep_tuning,
    pin_versions,
    pinned_versions,
    previous_version,
    state_version,
    steps_of,
    to_text,
    version_of_text,
)
from .errors import Damaged, NotThere
from .layout import CONFIG_FILE
from .versions import active_config, model_names, only_version, version_config
from .work_folder import WorkFolder


def activate(work: WorkFolder, name: str, version: int) -> None:
    """Let the next start of a server serve `version`; the caller holds the pipeline's lock.

    Raises:
        NotThere: the version is not published.
        Damaged: a configuration cannot be read.
        OSError: the repository cannot be written.
    """
    before = active_config(work.repository, name)
    offer(work, name, version)
    switch(work, name, version)
    narrow(work, {*steps_of(version_config(work.repository, name, version)), *(steps_of(before) if before else ())})


def offer(work: WorkFolder, name: str, version: int, *, besides: Iterable[int] = ()) -> dict[str, bool]:
    """Let the steps of `version` offer it beside what active ensembles name, and beside the versions `besides`.

    Returns step -> whether its configuration changed. Raises as `activate`.
    """
    in_use = _versions_in_use(work.repository)
    changed = {}
    for step, wanted in steps_of(version_config(work.repository, name, version)).items():
        kept = {each for each in besides if (work.repository / step / str(each)).is_dir()}
        changed[step] = _write_step(work, step, wanted, {wanted, *kept, *in_use.get(step, ())})
    return changed


def switch(work: WorkFolder, name: str, version: int, *, instead_of: int | None = None) -> None:
    """Make `version` the active one with one rename, and note in the same file which version it takes the place of.

    That is `instead_of`, what a running server serves, or else the active one, or the one before that: the first that
    is another version. Raises as `activate`.
    """
    before = active_config(work.repository, name)
    config = version_config(work.repository, name, version)
    config.name = name
    if before is not None:
        replaced = (instead_of, only_version(before), previous_version(before))
        keep_previous(config, next((each for each in replaced if each not in (None, version)), None))
        made = _made(work.repository, name, only_version(before))
        if made is not None:
            keep_tuning(config, served=before, made=made)
    work.write(work.repository / name / CONFIG_FILE, to_text(config).encode())


def state_candidate(work: WorkFolder, name: str, text: str | None) -> None:
    """Have the active version say with one rename which version answers beside it; None for none. Raises as
    `activate`."""
    config = active_config(work.repository, name)
    if config is None:
        raise NotThere(f"{work.repository} has no pipeline {name!r}")
    keep_candidate(config, text)
    work.write(work.repository / name / CONFIG_FILE, to_text(config).encode())


def widen(work: WorkFolder, models: Iterable[str], version: int) -> None:
    """Let steps that are there offer `version` besides what active ensembles name. Raises as `activate`."""
    in_use = _versions_in_use(work.repository)
    for model in sorted(set(models)):
        if (work.repository / model / str(version)).is_dir():
            _write_step(work, model, version, {version, *in_use.get(model, ())})


def narrow(work: WorkFolder, models: Iterable[str]) -> None:
    """Let steps offer no more than active ensembles name; what none names stays as it is. Raises as `activate`."""
    in_use = _versions_in_use(work.repository)
    for model in sorted(set(models)):
        if versions := in_use.get(model):
            _write_step(work, model, max(versions), versions)


def rollback_version(repository: Path, name: str) -> int | None:
    """Return the version that was active before the one that is; None where there was none. Raises Damaged."""
    config = active_config(repository, name)
    return None if config is None else previous_version(config)


def active_candidate(repository: Path, name: str) -> int | None:
    """Return the version that answers beside the active one; None where there is none. Raises Damaged."""
    config = active_config(repository, name)
    return None if config is None else candidate_version(config)


def pipelines_using(repository: Path, steps: Iterable[str]) -> list[str]:
    """Return the pipelines of whose active version a step is one of `steps`, in order. Raises Damaged, OSError."""
    wanted = set(steps)
    configs = {name: active_config(repository, name) for name in model_names(repository)}
    return [name for name, config in configs.items() if config is not None and wanted & steps_of(config).keys()]


def surplus(repository: Path) -> set[str]:
    """Return our steps that offer more than active ensembles name, as after a promotion. Raises Damaged, OSError."""
    found = set()
    for step, versions in _versions_in_use(repository).items():
        config = active_config(repository, step)
        ours = config is not None and version_of_text(config) is not None
        if ours and set(pinned_versions(config)) > versions:
            found.add(step)
    return found


def _versions_in_use(repository: Path) -> dict[str, set[int]]:
    """Return step -> the versions that ensembles name; pipelines with other heads, and ensembles of others, share
    it."""
    used: dict[str, set[int]] = {}
    for name in model_names(repository):
        with suppress(Damaged):  # a model of others, maybe; it serves nothing as it is
            config = active_config(repository, name)
            for step, version in _steps_in_use(repository, name, config) if config is not None else ():
                if (repository / step / str(version)).is_dir():  # -1 is the latest, whichever that is
                    used.setdefault(step, set()).add(version)
    return used


def _steps_in_use(repository: Path, name: str, config: pb.ModelConfig) -> list[tuple[str, int]]:
    """Return the steps, with their versions, of an ensemble and of its candidate."""
    found = [*steps_of(config).items()]
    with suppress(Damaged, NotThere):  # then there is none that could be served
        if candidate := candidate_version(config):
            found += steps_of(version_config(repository, name, candidate)).items()
    return found


def _write_step(work: WorkFolder, model: str, version: int, versions: Iterable[int]) -> bool:
    """Serve `versions` of a step with the configuration of `version`. Returns whether that is something new."""
    served = active_config(work.repository, model)
    config = version_config(work.repository, model, version)
    config.name = model
    if served is not None:
        made = _made(work.repository, model, version_of_text(served))
        if made is not None:
            keep_tuning(config, served=served, made=made)
    pin_versions(config, versions)
    written_for = None if served is None else version_of_text(served)
    state_version(config, written_for or version)
    if served == config:  # a rollback to a version that was exported with the same loads nothing
        return False
    state_version(config, version)
    work.write(work.repository / model / CONFIG_FILE, to_text(config).encode())
    return True


def _made(repository: Path, model: str, version: int | None) -> pb.ModelConfig | None:
    """Return the configuration of a model as it was exported; None where that is not known any more."""
    if version is None:
        return None
    try:
        return version_config(repository, model, version)
    except (NotThere, Damaged):
        return None
