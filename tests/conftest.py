"""Options and fixtures of all tests."""

import pytest


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew, for review")
    parser.addoption("--matrix", metavar="FAMILIES", help="all, or a comma-separated list: run these with every task")
    parser.addoption("--update-models", action="store_true", help="write what --matrix measured into docs/models.md")


@pytest.fixture
def update_golden(request):
    """Whether golden files are to be written instead of compared."""
    return request.config.getoption("--update-golden")
