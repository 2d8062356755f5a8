from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from promotions import promotion_on, two_versions
from toy_versions import write_version

from encserve_repository.serving import marked_as_served
from encserve_server.administration import version_beside


@pytest.fixture
def memory():
    """A folder in memory, where bringing something to disk takes no time."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def repository(memory):
    return memory / "models"


@pytest.fixture
def answers(monkeypatch):
    """Whatever is promoted answers when it is asked before."""
    monkeypatch.setattr(version_beside, "ask", lambda client, pipeline: None)


@pytest.fixture
def three_versions(memory, answers):
    """Version 2 is active in the place of version 1, and version 3 published, on a server that lives on."""
    server = two_versions(memory / "models")
    promotion_on(server).promote(2)
    with marked_as_served(server.repository):
        write_version(server.repository)
    return server
