"""One real Triton server with a pipeline that generates."""

import json
import shutil

import pytest
from published_t5 import published_t5
from serving import certify_again, copy_version, serve_config

from encserve import Client
from encserve_server.launcher.server import TritonServer


def shrink_cache(models, name, version, *, rows):
    """Leave room for so many texts of 64 tokens with 1,000 new ones."""
    file = models / f"{name}_generate" / str(version) / "settings.json"
    settings = json.loads(file.read_text())
    shape = settings["shape"]
    settings["engine"]["cache_bytes"] = rows * (64 + 1_024) * 8 * shape["layers"] * shape["heads"] * shape["size"]
    file.write_text(json.dumps(settings))
    certify_again(models, name, version, file)


@pytest.fixture(scope="package")
def generating(exports, tmp_path_factory):
    """The server. In its repository version 2 of `t5` waits, which decodes two long texts at a time."""
    models = tmp_path_factory.mktemp("generating") / "models"
    shutil.copytree(published_t5(exports)[0], models, ignore=shutil.ignore_patterns(".*"))
    copy_version(models, "t5", 1, 2, steps=("generate",))
    shrink_cache(models, "t5", 2, rows=2)
    told = []
    with TritonServer(serve_config(models), report=told.append) as running:
        yield running
    # A request that Triton keeps for ever, as one whose stream was cancelled when it had ended, keeps its model.
    assert not [line for line in told if "Exit timeout expired" in line]


@pytest.fixture(scope="package")
def connected(generating):
    """A client of the server."""
    with Client(generating.grpc_url, timeout_s=60) as client:
        yield client
