"""The files of what is served, watched from outside. A C++ backend and the steps that generate read tables where they
lie, and look after none of them; the encode step of engine `python` looks after its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import TypeAlias

from encserve_repository.config_text import candidate_version
from encserve_repository.errors import RepositoryError
from encserve_repository.layout import CONFIG_FILE, encode_model
from encserve_repository.manifest import Manifest, sha256_of
from encserve_repository.versions import active_config, manifest_of, only_version

OWN_ENGINE = "python"
"""The engine whose encode step looks after the files of its network."""
IN_MEMORY = (".py", CONFIG_FILE)
"""The endings of files that are read once, when a step is loaded."""
Version: TypeAlias = tuple[str, int]
"""A pipeline and one of its versions."""
State: TypeAlias = tuple[int, int, int, int]
"""Device and number of a file, its size and time."""

_UNKNOWN = (-1, -1)
"""Size and time of a file that is yet to be compared with its digest."""


class ChangedFiles:
    """Says of each file of what is served that was changed in place, once, that it was.

    A new file that is renamed over it changes nothing of what is served, and is not told. Files are compared with their
    digests only where size or time have changed, in a thread of its own, for which no end of this process waits: a
    large one takes seconds.

    Args:
        repository: the folder that is served.
        pipelines: the names of those that are.
        report: takes what was found, line by line, from that thread.
    """

    def __init__(self, repository: Path, pipelines: Sequence[str], *, report: Callable[[str], None]) -> None:
        self._repository = repository
        self._pipelines = pipelines
        self._report = report
        self._stated: dict[str, tuple[State | None, set[Version]]] = {}
        """Pipeline -> its configuration as it was when it was last read, and the versions that it states."""
        self._seen: dict[Version, dict[Path, State]] = {}
        self._missed: set[Version | str] = set()
        """Versions, and pipelines, that could not be read at the last look at them: what lies there when they can may
        have been changed meanwhile, and is compared with its digests, once."""
        self._certified: dict[Path, str] = {}
        self._thread: Thread | None = None
        self._fault = ""
        """What the last look failed at, which is told once."""
        self.look()

    def begin_to_look(self) -> None:
        """Look in the thread, unless it still does. What that fails at is reported."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = Thread(target=self._look_and_tell, name="changed-files", daemon=True)
            self._thread.start()

    def _look_and_tell(self) -> None:
        fault = ""
        try:
            self.look()
        except Exception as error:  # of which nobody would hear in this thread
            fault = repr(error)
        if fault and fault != self._fault:
            self._report(f"whether files of what is served are changed in place is not known now: {fault}")
        self._fault = fault

    def look(self) -> None:
        """Look at the files of the versions that are active or candidates now. What cannot be read is looked at again,
        and a file that is gone no more."""
        served = self._served()
        self._seen = {version: files for version, files in self._seen.items() if version in served}
        for version in served:
            if version not in self._seen:
                try:
                    self._seen[version] = self._begin(version)
                    self._missed.discard(version)
                except (RepositoryError, OSError):
                    self._missed.add(version)
            for file, before in list(self._seen.get(version, {}).items()):
                with suppress(OSError):
                    self._compare(self._seen[version], file, before)

    def _served(self) -> set[Version]:
        for name in self._pipelines:
            try:
                state = _state(self._repository / name / CONFIG_FILE)
                if name in self._stated and self._stated[name][0] == state:  # to read one takes a millisecond
                    self._missed.discard(name)
                    continue
                config = active_config(self._repository, name)
                versions = (only_version(config), candidate_version(config)) if config else ()
                stated = {(name, version) for version in versions if version is not None}
                self._stated[name] = state, stated
                if name in self._missed:
                    self._missed |= stated - self._seen.keys()
                    self._missed.discard(name)
            except (RepositoryError, OSError):
                self._missed.add(name)
        return {version for _, versions in self._stated.values() for version in versions}

    def _begin(self, version: Version) -> dict[Path, State]:
        digests = _watched(manifest_of(self._repository, *version))
        files = {self._repository / name: digest for name, digest in digests.items()}
        self._certified |= files
        states = {file: state for file in files if (state := _state(file))}
        if version not in self._missed:
            return states
        return {file: (device, number, *_UNKNOWN) for file, (device, number, _, _) in states.items()}

    def _compare(self, files: dict[Path, State], file: Path, before: State) -> None:
        now = _state(file)
        if now == before:
            return
        if now is None or now[:2] != before[:2]:  # the server goes on with the file that it has
            del files[file]
            return
        if sha256_of(file) == self._certified[file]:
            files[file] = now
            return
        del files[file]
        self._report(
            f"{file} was changed while it is served: answers may no longer be the certified ones. Restore it, start "
            "the server anew, and copy to a new file that is renamed"
        )


def _watched(manifest: Manifest) -> Mapping[str, str]:
    own = encode_model(manifest.body or manifest.name, manifest.engine) if manifest.engine == OWN_ENGINE else ""
    return {
        name: digest
        for name, digest in manifest.files.items()
        if not name.endswith(IN_MEMORY) and name.partition("/")[0] != own
    }


def _state(file: Path) -> State | None:
    """Return the state of a file; None where there is none. Raises OSError where that cannot be told."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
