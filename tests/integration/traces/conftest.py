"""A real server that tells a collector of every request."""

import pytest
from collector import collecting
from serving import serve_config

from encserve_server.launcher.server import TritonServer


@pytest.fixture(scope="module")
def collector():
    """What the server tells."""
    with collecting() as running:
        yield running


@pytest.fixture(scope="module")
def said():
    """What the server prints."""
    return []


@pytest.fixture(scope="module")
def traced(repository, collector, said):
    """The server. Of requests without a caller's trace all have one of their own."""
    config = serve_config(repository, models=("minilm",), otlp=collector.url, trace_share=1.0, exit_timeout_s=5)
    with TritonServer(config, report=said.append) as server:
        yield server
