"""Options of the test run itself."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).parents[1] / "conftest.py"
TESTS = """
import pytest

@pytest.mark.gpu
@pytest.mark.skipif(True, reason="needs a GPU")
def test_marked(): ...

@pytest.mark.gpu
def test_that_skips_itself():
    pytest.skip("needs another GPU")

@pytest.mark.skipif(True, reason="needs root")
def test_of_a_cpu(): ...
"""


@pytest.mark.parametrize(
    ("options", "outcomes"),
    [([], {"skipped": 3}), (["--require-gpu"], {"errors": 1, "failed": 1, "skipped": 1})],
    ids=["as found", "GPU required"],
)
def test_a_gpu_that_is_required_and_missing_fails_its_tests(pytester, options, outcomes):
    pytester.makeconftest(CONFTEST.read_text())
    pytester.makeini("[pytest]\nmarkers = gpu: needs a GPU")
    pytester.makepyfile(TESTS)
    done = pytester.runpytest("-p", "no:asyncio", "-p", "no:xdist", *options)
    done.assert_outcomes(**outcomes)
    if "errors" in outcomes:
        done.stdout.fnmatch_lines(["*needs a GPU, and --require-gpu has it run*"])
