import pytest
from served_vectors import Server, write_repository


@pytest.fixture
def folder(tmp_path):
    """A repository with the manifest and the reference of version 1."""
    write_repository(tmp_path)
    return tmp_path


@pytest.fixture
def server():
    return Server()
