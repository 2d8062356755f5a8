"""A server beside whose version another one waits."""

import shutil

import pytest
from serving import copy_version, serve_config

from encserve_server.launcher.server import TritonServer


@pytest.fixture
def two_versions(repository, tmp_path):
    """A server of version 1, in whose repository version 2 waits."""
    models = tmp_path / "models"
    shutil.copytree(repository, models, ignore=shutil.ignore_patterns(".*", "prompted*"))
    copy_version(models, "minilm", 1, 2)
    with TritonServer(serve_config(models)) as running:
        yield running
