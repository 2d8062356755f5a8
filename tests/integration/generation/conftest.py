"""One real Triton server with a pipeline that generates."""

import argparse
import json
import shutil

import onnx
import pytest
from listed_generators import TRANSLATIONS, published_listed
from published_t5 import PRECISIONS, published_t5, published_t5_in
from serving import certify_again, copy_version, serve_config, sha256_of
from trained_t5 import MASK

from encserve import Client
from encserve_server import promote, rollback
from encserve_server.launcher.server import TritonServer

POISON = "<mask>"
"""The token for which version 2 gives NaN; no other test asks it."""


def poison_token(models, name, version):
    """Make NaN of what the encoder has of a token."""
    graph = models / f"{name}_generate" / str(version) / "encoder.onnx"
    network, before = onnx.load(graph), sha256_of(graph)
    (table,) = (tensor for tensor in network.graph.initializer if tensor.name == "encoder.embed_tokens.weight")
    values = onnx.numpy_helper.to_array(table).copy()
    values[MASK] = float("nan")
    table.CopyFrom(onnx.numpy_helper.from_array(values, table.name))
    onnx.save(network, graph)
    settings = graph.with_name("settings.json")
    settings.write_text(settings.read_text().replace(before, sha256_of(graph)))
    certify_again(models, name, version, graph, settings)


def shrink_cache(models, name, version, *, rows):
    """Leave room for so many texts of 64 tokens with 1,000 new ones."""
    file = models / f"{name}_generate" / str(version) / "settings.json"
    settings = json.loads(file.read_text())
    shape = settings["shape"]
    settings["engine"]["cache_bytes"] = rows * (64 + 1_024) * 8 * shape["layers"] * shape["heads"] * shape["size"]
    file.write_text(json.dumps(settings))
    certify_again(models, name, version, file)


@pytest.fixture(scope="package")
def generating(request, exports, tmp_path_factory):
    """The server. In its repository version 2 of `t5` waits, which decodes two long texts at a time, and gives NaN for
    texts with `POISON`; beside it are `t5_int8`, where the processor can `t5_bf16`, and translators, if a test asks for
    them."""
    asked = " ".join(item.nodeid for item in request.session.items)
    models = tmp_path_factory.mktemp("generating") / "models"
    shutil.copytree(published_t5(exports)[0], models, ignore=shutil.ignore_patterns(".*"))
    for precision in (each for each in PRECISIONS if f"t5_{each.value}" in asked):
        other = published_t5_in(precision, exports)
        shutil.copytree(other, models, ignore=shutil.ignore_patterns(".*"), dirs_exist_ok=True)
    for family in (each for each in TRANSLATIONS if f"test_translations_are_those_of_transformers[{each}]" in asked):
        other = published_listed(family, exports)[0]
        shutil.copytree(other, models, ignore=shutil.ignore_patterns(".*"), dirs_exist_ok=True)
    copy_version(models, "t5", 1, 2, steps=("generate",))
    shrink_cache(models, "t5", 2, rows=2)
    poison_token(models, "t5", 2)
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


def run(module, server, *words):
    """Run a command as a shell would."""
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    words = [*words, f"--url={server.grpc_url}", f"--repository={server.config.repository}"]
    assert module.run(parser.parse_args(words)) == 0


@pytest.fixture
def small(generating):
    """The server, with the version that decodes two long texts at a time."""
    run(promote, generating, "t5", "2")
    yield generating
    run(rollback, generating, "t5")
