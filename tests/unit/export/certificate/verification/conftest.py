from types import SimpleNamespace

import pytest
from served_vectors import Server, write_repository

from encserve_export.certificate.verification import asked_server


@pytest.fixture
def folder(tmp_path):
    """A repository with the manifest and the reference of version 1."""
    write_repository(tmp_path)
    return tmp_path


@pytest.fixture
def server():
    return Server()


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """The seconds that were waited before another attempt, which pass at once."""
    waited = []
    monkeypatch.setattr(asked_server, "time", SimpleNamespace(sleep=waited.append))
    return waited
