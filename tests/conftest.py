"""Options and fixtures of all tests."""

import signal

import pytest
from certificates import Authority

# Shells start background jobs with Ctrl-C ignored, and programs under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew, for review")
    parser.addoption("--matrix", metavar="FAMILIES", help="all, or a comma-separated list: run these with every task")
    parser.addoption(
        "--soak-s", type=float, default=120, metavar="SECONDS", help="how long the soak lasts (default 120)"
    )
    parser.addoption("--update-models", action="store_true", help="write what --matrix measured into docs/models.md")


@pytest.fixture
def update_golden(request):
    """Whether golden files are to be written instead of compared."""
    return request.config.getoption("--update-golden")


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """A certificate authority of our own."""
    return Authority(tmp_path_factory.mktemp("certificates"), "authority")
