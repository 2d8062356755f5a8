"""Test processes that die."""

import os
from pathlib import Path

pytest_plugins = ["pytester"]

TESTS = Path(__file__).parents[1]
DIES_ONCE = """
import os
import os
from pathlib import Path

def test_that_dies():
    mark = Path("died")
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), 9)

def test_after_it(): ...
"""


def test_the_rest_is_run_by_another_process(pytester, monkeypatch):
    """Of files that were whole before, nothing is left to run."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS), prepend=os.pathsep)
    pytester.makeconftest((TESTS / "conftest.py").read_text())
    pytester.makepyfile(test_a="def test_before_it(): ...", test_b="def test_before_it(): ...", test_c=DIES_ONCE)
    done = pytester.runpytest_subprocess("-n", "1", "--dist", "loadscope", "--no-loadscope-reorder", timeout=60)
    done.assert_outcomes(passed=4, failed=1)
    done.stdout.fnmatch_lines(["*crashed while running 'test_c.py::test_that_dies'*"])
