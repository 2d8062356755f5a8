"""One server for each family of the matrix, and one for the cells that run by default."""

import pytest
from export.families.checkpoints import CASES

from encserve_export.checkpoint.tasks.table import TASKS

from .cells import SAMPLE, network_class
from .served import serving


def asked_cases(config):
    """What --matrix names."""
    named = config.getoption("--matrix")
    if named is None:
        return []
    cases = list(CASES) if named == "all" else named.split(",")
    if unknown := set(cases) - CASES.keys():
        raise pytest.UsageError(f"--matrix {', '.join(sorted(unknown))}: known are all, {', '.join(CASES)}")
    return cases


def pytest_generate_tests(metafunc):
    """The cells of a family follow each other, so that its server can make room for the next."""
    if "matrix_case" in metafunc.fixturenames:
        metafunc.parametrize("task", TASKS)
        metafunc.parametrize("matrix_case", asked_cases(metafunc.config), indirect=True, scope="session")


def pytest_collection_modifyitems(config, items):
    """Without --matrix there is no cell to run."""
    if not config.getoption("--matrix"):
        cells = [item for item in items if "matrix_case" in item.fixturenames]
        config.hook.pytest_deselected(items=cells)
        items[:] = [item for item in items if item not in cells]


@pytest.fixture(scope="session")
def matrix_case(request, tmp_path_factory):
    """A family, and a server with all its tasks."""
    case = request.param
    cells = [(case, task) for task in TASKS if network_class(case, task)]
    with serving(cells, tmp_path_factory.mktemp("matrix")) as served:
        yield case, served


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A server with the sample. How layers follow each other is for `tests/export/families`."""
    cells = [(case, task) for task, case in SAMPLE.items()]
    with serving(cells, tmp_path_factory.mktemp("sample"), small=True) as served:
        yield served
