"""One real Triton server with a pipeline that generates."""

import shutil

import pytest
from published_t5 import published_t5
from serving import copy_version, serve_config

from encserve import Client
from encserve_server.launcher.server import TritonServer


@pytest.fixture(scope="package")
def generating(exports, tmp_path_factory):
    """The server. In its repository version 2 of `t5` waits."""
    models = tmp_path_factory.mktemp("generating") / "models"
    shutil.copytree(published_t5(exports)[0], models, ignore=shutil.ignore_patterns(".*"))
    copy_version(models, "t5", 1, 2, steps=("generate",))
    with TritonServer(serve_config(models)) as running:
        yield running


@pytest.fixture(scope="package")
def connected(generating):
    """A client of the server."""
    with Client(generating.grpc_url, timeout_s=60) as client:
        yield client
