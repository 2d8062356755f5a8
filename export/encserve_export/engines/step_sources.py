"""Which modules of the server run in a step, found by what they import; they are copied into the step as they are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path

PACKAGE = "encserve_server.steps"
"""Its modules import each other relatively, and nothing else of encserve."""


def sources_of(step: str, *chosen: str) -> tuple[str, ...]:
    """The modules that `step` and those `chosen` by its settings need, by their dotted names in `PACKAGE`.

    First the one that becomes its model.py, then the others in order, the packages that hold them among them.
    """
    model = f"{step}_model"
    found: set[str] = set()
    waiting = [model, *chosen]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += imports_of(module)
            waiting += _packages_of(module)
    return (model, *sorted(found - {model}))


def copy_sources(modules: tuple[str, ...], folder: Path) -> None:
    """Copy `modules` into the version folder of a step, each into its package; the first becomes model.py."""
    for position, module in enumerate(modules):
        target = folder / ("model.py" if position == 0 else _file_of(module))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source_of(module), encoding="utf-8")


@cache
def source_of(module: str) -> str:
    """The text of a module, or of the __init__.py of a package."""
    return (files(PACKAGE) / _file_of(module)).read_text(encoding="utf-8")


@cache
def imports_of(module: str) -> tuple[str, ...]:
    """The modules that a module imports relatively, by their dotted names in `PACKAGE`."""
    return tuple(_imports_of(module))


def _imports_of(module: str) -> Iterator[str]:
    within = f"{module}.__init__" if _is_package(module) else module
    for node in ast.walk(ast.parse(source_of(module))):
        if isinstance(node, ast.ImportFrom) and node.level:
            room = within.split(".")[: -node.level]
            yield ".".join([*room, *([node.module] if node.module else [])])


def _packages_of(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _file_of(module: str) -> str:
    path = module.replace(".", "/")
    return f"{path}/__init__.py" if _is_package(module) else f"{path}.py"


def _is_package(module: str) -> bool:
    return files(PACKAGE).joinpath(*module.split(".")).is_dir()
