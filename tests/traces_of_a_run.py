"""The fixtures of `traces.py`, apart from what takes seconds to import."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def traces(exports):
    """The traces of this run, which its processes share."""
    from traces import traces_in

    folder = exports / "traces"
    folder.mkdir(exist_ok=True)
    with traces_in(folder) as kept:
        yield kept


@pytest.fixture
def traced_anew(traces):
    """For tests of tracing itself."""
    with traces.anew():
        yield
