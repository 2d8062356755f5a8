"""One real Triton server for all tests that only ask it things, and sentence-transformers beside it."""

import fcntl
import shutil
from pathlib import Path

import pytest
from cpp_stand_in import export_for_cpp
from serving import MINILM, export, first_layers, prompted_checkpoint, sentence_transformer, serve_config
from traces_of_a_run import traced_anew, traces  # noqa: F401

from encserve import Client
from encserve_export.certificate import certificate_texts
from encserve_export.engines import speed
from encserve_server.errors import UnsupportedHost
from encserve_server.host.platform import check_host, read_host
from encserve_server.launcher.server import TritonServer

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Skip, with the reason, where the wheel's Triton cannot run."""
    try:
        check_host(read_host())
    except UnsupportedHost as refused:
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=str(refused)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """What holds for the tests of real servers and what they prepare, and not for others in the same process.

    Certificates ask few texts: whether one could fail is what tests/export ask. No server answers from what it computed
    before, or comparisons would compare rows with themselves; `test_repeated_texts` alone turns it on again.
    """
    if HERE not in item.path.parents:
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certificate_texts, "LEAST", 32)
        patch.setattr(certificate_texts, "RELATED", 32)
        patch.setattr(certificate_texts, "SECONDS", 0)
        patch.setattr(speed, "ENOUGH_S", 0)
        patch.setenv("ENCSERVE_RECENT_ROWS_MIB", "0")
        return (yield)


@pytest.fixture(scope="session")
def minilm_folder(tmp_path_factory):
    """The checkpoint behind the pipeline `minilm`: the first two layers of MiniLM.

    All six are served where the network is to be slower than who asks (`load`), where numbers are shown
    (`test_readme.py`), and by `test_served_precisions.py` in `make soak`.
    """
    return first_layers(2, tmp_path_factory.mktemp("checkpoints") / "minilm")


@pytest.fixture(scope="session")
def prompted_folder(minilm_folder, tmp_path_factory):
    """The checkpoint behind the pipeline `prompted`."""
    return prompted_checkpoint(minilm_folder, tmp_path_factory.mktemp("checkpoints") / "prompted")


@pytest.fixture(scope="session")
def repository(exports, tmp_path_factory, minilm_folder, prompted_folder):
    """A model repository with the pipelines `minilm` and `prompted`."""

    def both(kept):
        export(minilm_folder, "minilm", kept)
        export(prompted_folder, "prompted", kept)

    return exported_once(exports, "models", both, tmp_path_factory)


@pytest.fixture(scope="session")
def whole_minilm(exports, tmp_path_factory):
    """A model repository with the whole of MiniLM as the pipeline `minilm`."""
    return exported_once(exports, "whole", lambda kept: export(MINILM, "minilm", kept), tmp_path_factory)


@pytest.fixture(scope="session")
def cpp_repository(exports, tmp_path_factory):
    """A model repository with the pipeline `tiny`, which has a stand-in for an encode step in C++."""
    return exported_once(exports, "cpp", export_for_cpp, tmp_path_factory)


def exported_once(exports, name, export_into, tmp_path_factory):
    """A copy of a repository, into which the first process of a run that asks exports by `export_into`."""
    kept = exports / name
    with (exports / f"exporting-{name}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (exports / f"{name}-exported").exists():
            shutil.rmtree(kept, ignore_errors=True)
            export_into(kept)
            (exports / f"{name}-exported").touch()
    return shutil.copytree(kept, tmp_path_factory.mktemp(name) / "models")


@pytest.fixture(scope="session")
def server(repository):
    """The server; tests that break one start their own."""
    with TritonServer(serve_config(repository)) as running:
        yield running


@pytest.fixture(scope="session")
def client(server):
    """A client of the server."""
    with Client(server.grpc_url, timeout_s=300) as connected:
        yield connected


@pytest.fixture(scope="session")
def reference(minilm_folder):
    """sentence-transformers with the checkpoint of `minilm`."""
    return sentence_transformer(minilm_folder)
