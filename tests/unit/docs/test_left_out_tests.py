"""The list of tests that `make test` leaves out, beside the marks in the tests' own files."""

import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[2]
PAGE = TESTS.parent / "docs" / "development.md"
MARKS = re.compile(r"\bmark\.slow\b|\bSLOW_BUT_\w+")
"""How a file marks tests: by itself, or with parameters that bring the mark along."""


def listed():
    """What each row is about: files and folders below `tests`."""
    section = PAGE.read_text().split("## Tests that `make test` leaves out")[1].split("\n## ")[0]
    rows = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    return [re.findall(r"`((?:export|integration|repository|unit)/[\w/.]+)`", row) for row in rows]


def files_of(path):
    """The files that a row names, of a folder those with a mark."""
    if path.endswith(".py"):
        return {path}
    return {file for file in marked() if file.startswith(f"{path}/")}


@cache
def marked():
    return {str(file.relative_to(TESTS)) for file in TESTS.rglob("test_*.py") if MARKS.search(file.read_text())}


def test_every_file_with_slow_tests_is_listed_and_no_other():
    assert all(listed())
    assert {file for row in listed() for path in row for file in files_of(path)} == marked()


def test_every_folder_that_is_listed_has_slow_tests():
    assert [path for row in listed() for path in row if not files_of(path)] == []


def test_rows_are_in_order():
    firsts = [row[0] for row in listed()]
    assert firsts == sorted(firsts)
