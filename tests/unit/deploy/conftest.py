"""The compose file, read once."""

import deploy_files
import pytest


@pytest.fixture(scope="session")
def compose_text():
    """docker-compose.yml as it is."""
    return deploy_files.compose_text()


@pytest.fixture(scope="session")
def compose():
    """docker-compose.yml with the defaults of its variables, and its anchors resolved."""
    return deploy_files.read_compose()
