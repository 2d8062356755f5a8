"""A server of the whole of MiniLM: floods are to find a network that is slower than who asks it."""

import pytest
from serving import serve_config

from encserve import Client
from encserve_server.launcher.server import TritonServer


@pytest.fixture(scope="session", autouse=True)
def traces():
    """None is kept: what these tests serve was exported before, and PyTorch is not imported for them."""


@pytest.fixture(scope="package")
def repository(whole_minilm):
    """A model repository with the pipeline `minilm`."""
    return whole_minilm


@pytest.fixture(scope="package")
def server(repository):
    """The server that these tests share."""
    with TritonServer(serve_config(repository)) as running:
        yield running


@pytest.fixture(scope="package")
def client(server):
    """A client of the server."""
    with Client(server.grpc_url, timeout_s=300) as connected:
        yield connected
