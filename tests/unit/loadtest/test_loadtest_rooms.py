"""The rooms of the planner: what each may use of the others."""

import ast
from pathlib import Path

import pytest

import encserve_loadtest

PACKAGE = Path(encserve_loadtest.__file__).parent
WORDS = {"errors", "quantities"}
"""Modules that all may use."""
ROOMS = {
    "traffic": set(),
    "measurement": {"config", "traffic"},
    "estimate": {"measurement"},
    "virtual": {"measurement", "traffic"},
    "fleet": {"estimate", "measurement"},
    "curve": set(),
    "tune": {"estimate", "measurement"},
    "stages": {"curve", "estimate", "findings", "fleet", "measurement", "tune"},
    "report": {"config", "curve", "estimate", "findings", "fleet", "measurement", "traffic", "tune"},
}
"""Room -> the rooms and modules of the package that it may use."""


def used_by(room: str) -> set[str]:
    parts = [
        node.module.split(".")[1]
        for file in (PACKAGE / room).glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(f"{PACKAGE.name}.")
    ]
    return {*parts} - {room}


def test_every_room_is_known():
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_uses_only_what_it_may_use(room):
    assert used_by(room) <= ROOMS[room] | WORDS


@pytest.mark.parametrize("room", [".", *ROOMS])
def test_a_room_can_be_read(room):
    """A dozen files at most, beside the one that says what it is."""
    assert len(list((PACKAGE / room).glob("*.py"))) <= 12 + 1
