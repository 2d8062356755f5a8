"""One real Triton server for all tests that only ask it things, and sentence-transformers beside it."""

from pathlib import Path

import pytest
from serving import MINILM, export, prompted_checkpoint, sentence_transformer, serve_config

from encserve import Client
from encserve_server.errors import UnsupportedHost
from encserve_server.host import check_host, read_host
from encserve_server.server import TritonServer


def pytest_collection_modifyitems(items):
    """Skip, with the reason, where the wheel's Triton cannot run."""
    try:
        check_host(read_host())
    except UnsupportedHost as refused:
        here = Path(__file__).parent
        for item in items:
            if here in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=str(refused)))


@pytest.fixture(scope="session", autouse=True)
def every_text_is_computed():
    """No server of these tests answers from what it computed before, or comparisons would compare rows with themselves.

    `test_recent_rows` alone turns it on again.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENCSERVE_RECENT_ROWS_MIB", "0")
        yield


@pytest.fixture(scope="session")
def prompted_folder(tmp_path_factory):
    """The checkpoint behind the pipeline `prompted`."""
    return prompted_checkpoint(tmp_path_factory.mktemp("checkpoints") / "prompted")


@pytest.fixture(scope="session")
def repository(tmp_path_factory, prompted_folder):
    """A model repository with the pipelines `minilm` and `prompted`."""
    folder = tmp_path_factory.mktemp("models")
    export(MINILM, "minilm", folder)
    export(prompted_folder, "prompted", folder)
    return folder


@pytest.fixture(scope="session")
def server(repository):
    """The server; tests that break one start their own."""
    with TritonServer(serve_config(repository)) as running:
        yield running


@pytest.fixture(scope="session")
def client(server):
    """A client of the server."""
    with Client(server.grpc_url) as connected:
        yield connected


@pytest.fixture(scope="session")
def reference():
    """sentence-transformers with MiniLM."""
    return sentence_transformer(MINILM)
