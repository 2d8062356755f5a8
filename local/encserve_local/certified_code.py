"""The code of a step as its version holds it: what Triton would run, and what the certificate names.

Each version has a copy of the steps' modules, which import each other relatively. A copy becomes a package of its own
here, named by the digest of its files, so that versions of several releases of encserve live beside each other. Every
file is held against its sha256 at the moment in which it is read, and no bytecode is read or written beside it.
Python's own finders, which would run whatever lies there, never see these modules: this one comes before them, and the
packages have no path.
"""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType

from encserve import ContractError

_PREFIX = "encserve_certified_"


class CertifiedCode:
    """The modules of one step.

    Args:
        folder: The version folder of the step.
        files: The sha256 of each of its files, by path within the folder.
    """

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        sources = {path: sha256 for path, sha256 in files.items() if path.endswith(".py")}
        self._package = _PREFIX + hashlib.sha256(repr(sorted(sources.items())).encode()).hexdigest()[:32]
        _FINDER.add(self._package, {path: _Source(folder / path, sha256) for path, sha256 in sources.items()})

    def module(self, name: str) -> ModuleType:
        """Return a module by its dotted name among the steps, such as "encode.encoder".

        Raises:
            ContractError: a file is not the certified one.
            ModuleNotFoundError: the step has no such module.
        """
        return import_module(f"{self._package}.{name}")


@dataclass(frozen=True)
class _Source(SourceLoader):
    """Loads one module. It tells no time of the file, so that Python looks for no bytecode."""

    file: Path
    sha256: str

    def get_filename(self, fullname: str) -> str:
        """Where the module stands, for tracebacks."""
        return str(self.file)

    def get_data(self, path: str) -> bytes:
        """The source. Raises ContractError if it is not the certified one."""
        source = self.file.read_bytes()
        if (found := hashlib.sha256(source).hexdigest()) != self.sha256:
            raise ContractError(
                f"{self.file} is not the certified file: expected sha256 {self.sha256}, found {found}: export the "
                "pipeline again"
            )
        return source


class _Finder(MetaPathFinder):
    """Finds the modules of steps, by the packages that were added."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._packages: dict[str, Mapping[str, _Source]] = {}

    def add(self, package: str, sources: Mapping[str, _Source]) -> None:
        """Let the modules in `sources`, by path, be imported as those of `package`. The last files of a name count:
        earlier ones have the same content, and may have been removed."""
        with self._lock:
            if self not in sys.meta_path:
                sys.meta_path.insert(0, self)
            self._packages[package] = sources

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return what Python needs to import a module; None for one that is none of these."""
        package, _, inner = fullname.partition(".")
        if (sources := self._packages.get(package)) is None:
            return None
        if not inner:  # the version folder itself
            return ModuleSpec(fullname, None, is_package=True)
        module = inner.replace(".", "/")
        for file, is_package in ((f"{module}/__init__.py", True), (f"{module}.py", False)):
            if file in sources:
                spec = spec_from_loader(fullname, sources[file], is_package=is_package)
                if spec is not None and is_package:
                    spec.submodule_search_locations = []  # in place of the folder, where any file would be taken
                return spec
        return None


_FINDER = _Finder()
