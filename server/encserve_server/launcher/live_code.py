"""Serving with the steps' code as it is being edited, for developers of the steps.

A version has its own copy of the code of its steps, which its certificate names. Here Triton gets a folder of links
instead: everything of a version is the repository's but that code, which is the one in the source tree. What is served
so is no longer what was certified, and the launcher says that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from encserve_repository.config_text import steps_of
from encserve_repository.layout import ALL_STEPS, CONFIG_FILE
from encserve_repository.versions import active_config
from encserve_server.config import ServeConfig
from encserve_server.processes.loops import start_loop

LOOK_S = 0.25
"""Seconds between two looks at the source tree and the repository."""


@dataclass(kw_only=True)
class LiveCode:
    """The code of the steps while it is being edited: notices edits, and has the steps loaded again. Versions that are
    exported meanwhile get links, so that they can be promoted."""

    config: ServeConfig
    """Of the server; `live_code` is the source tree, or None for what was certified."""
    folder: Path
    """Of the server alone; the links are made in it."""
    pipelines: Sequence[str]
    """Those that are served."""
    load: Callable[[str], None]
    """Has Triton load a model again; what it raises is reported."""
    report: Callable[[str], None]
    """Takes what happens, line by line; raises nothing."""
    stopping: threading.Event
    """Is set before the server stops: no model is loaded from then on."""

    @contextmanager
    def served(self) -> Iterator[ServeConfig]:
        """What Triton is to be started with, and while the block lasts every edit loads the steps again. Without a
        source tree it is `config`, and nothing else happens."""
        if self.config.live_code is None:
            yield self.config
            return
        self._source, self._links = self.config.live_code, self.folder / "live_repository"
        self._live = self._link()
        self._seen = self._modified()
        names = ", ".join(self._models())
        self.report(f"the code of {names} is that of {self._source}, and not what was certified")
        thread = start_loop("live-code", self._look, report=self.report)
        try:
            yield replace(self.config, repository=self._links)
        finally:
            self.stopping.set()
            thread.join()

    def _link(self) -> set[str]:
        return link_repository(self.config.repository, self._source, self._links)

    def _models(self) -> list[str]:
        """Return the models of the active versions that have the code of the source tree, in order."""
        configs = [active_config(self.config.repository, name) for name in self.pipelines]
        return sorted({step for config in configs if config is not None for step in steps_of(config)} & self._live)

    def _look(self) -> bool:
        """Wait a moment, load again what was edited meanwhile, and return whether to look again."""
        if self.stopping.wait(LOOK_S):
            return False
        with suppress(FileNotFoundError):  # an editor replaces a file: the next look sees it
            self._live = self._link()
            now = self._modified()
            if now != self._seen:
                self._seen = now
                self._load_again()
        return True

    def _modified(self) -> dict[Path, int]:
        return {file: file.stat().st_mtime_ns for file in self._source.rglob("*.py")}

    def _load_again(self) -> None:
        """Load every step whose code is the source tree's; one that does not load keeps none of the others from it."""
        loaded = []
        for model in self._models():
            if self.stopping.is_set():
                return
            try:
                self.load(model)
                loaded.append(model)
            except Exception as error:  # a mistake in the code; what was loaded goes on
                if not self.stopping.is_set():
                    self.report(f"the edited code of {model} does not load: {error}")
        if loaded:
            self.report(f"the edited code of {', '.join(loaded)} is served")


def link_repository(repository: Path, source: Path, links: Path) -> set[str]:
    """Make `links` a model repository that is `repository` with the code of the steps out of `source`; what it has
    already stays.

    Returns the models that have such code.
    """
    links.mkdir(exist_ok=True)
    live = set()
    for model in sorted(repository.iterdir()):
        if not (model / CONFIG_FILE).is_file():
            continue
        if not any(map(_step_of, model.iterdir())):
            _link(links / model.name, model)
            continue
        live.add(model.name)
        if (links / model.name).is_symlink():  # made when the model was being copied, and its code was not there yet
            (links / model.name).unlink()
        (links / model.name).mkdir(exist_ok=True)
        for part in model.iterdir():
            if step := _step_of(part):
                _link_version(part, source, step, links / model.name / part.name)
            elif not part.name.isdecimal():  # a version that is being copied
                _link(links / model.name / part.name, part)
    return live


def _step_of(version: Path) -> str | None:
    """Return the step whose code a version folder has; None where it has none, as that of a C++ backend."""
    return next((step for step in ALL_STEPS if (version / step / "step.py").is_file()), None)


def _link_version(version: Path, source: Path, step: str, link: Path) -> None:
    link.mkdir(exist_ok=True)
    rooms = {room.name: room for room in source.iterdir() if room.is_dir() and room.name != "__pycache__"}
    code = rooms | {"model.py": source / f"{step}_model.py"}
    for file in version.iterdir():
        if file.name not in code and file.name != "__pycache__":
            _link(link / file.name, file)
    for name, own in code.items():
        _link(link / name, own)


def _link(link: Path, target: Path) -> None:
    if not link.is_symlink():
        link.symlink_to(target.resolve())
