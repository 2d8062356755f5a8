"""The trained T5, exported once."""

import pytest
from published_t5 import published_t5

from encserve_repository.versions import manifest_of


@pytest.fixture(scope="session")
def published(exports):
    """A repository with it as the pipeline `t5`."""
    return published_t5(exports)[0]


@pytest.fixture(scope="session")
def checkpoint(exports):
    """The folder of its checkpoint."""
    return published_t5(exports)[1]


@pytest.fixture(scope="session")
def manifest(published):
    """Its manifest."""
    return manifest_of(published, "t5", 1)


@pytest.fixture(scope="session")
def step_folder(published):
    """The version folder of its step."""
    return published / "t5_generate" / "1"
