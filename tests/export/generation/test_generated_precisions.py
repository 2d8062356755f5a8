"""The trained T5 in int8 and in bf16: what becomes of its graphs, and that nobody's text depends on another."""

import json

import numpy as np
import onnx
import pytest
from published_t5 import SLOW_BUT_INT8, published_t5_in

from encserve_export.certificate.limits import GENERATION_LIMITS
from encserve_export.config import ExportConfig, Precision
from encserve_export.errors import InvalidConfig
from encserve_export.export import export
from encserve_export.generation import asked
from encserve_repository.versions import manifest_of
from encserve_server.steps.generate.decoder.cache import Cache
from encserve_server.steps.generate.decoder.network import ENCODER_FILE, STEP_FILE, GenerateNetwork
from encserve_server.steps.instance.settings import read_settings

RUNTIMES = {Precision.INT8: "onnxruntime", Precision.BF16: "openvino"}


@pytest.fixture
def repository(exports):
    """Returns the repository of the T5 in a precision."""
    return lambda precision: published_t5_in(precision, exports)


def manifest_in(repository):
    return manifest_of(repository, repository.name, 1)


def step_in(repository):
    return repository / f"{repository.name}_generate" / "1"


def network_in(repository):
    folder = step_in(repository)
    return GenerateNetwork.certified(folder, read_settings(folder), threads=1)


def full_network(published):
    folder = published / "t5_generate" / "1"
    return GenerateNetwork.certified(folder, read_settings(folder), threads=1)


def logits_along(network, sources, tokens):
    """float32 (n, r, V), with all texts in one cache."""
    shape = network.shape
    cache = Cache(shape.layers, shape.heads, shape.size)
    for source in sources:
        cache.add(source)
    return np.stack([network.step(tokens[:, [at]], cache)[:, 0] for at in range(tokens.shape[1])], axis=1)


@pytest.mark.parametrize("precision", SLOW_BUT_INT8)
def test_it_is_certified_with_the_limits_of_its_precision(repository, precision):
    manifest = manifest_in(repository(precision))
    assert (manifest.precision, manifest.runtime["name"]) == (precision.value, RUNTIMES[precision])
    figures = manifest.parity["figures"]
    assert {name: figure["limit"] for name, figure in figures.items()} == vars(GENERATION_LIMITS[precision])
    assert figures["company_identical"]["measured"] == 1
    assert 1e-6 < figures["logits_max_diff"]["measured"] < GENERATION_LIMITS[precision].logits_max_diff
    assert manifest.made["cache"] == "keys and values of tokens are fp32"


@pytest.mark.parametrize("precision", SLOW_BUT_INT8)
def test_logits_are_those_of_fp32_but_for_rounding_and_the_same_to_the_last_bit_alone(repository, published, precision):
    network = network_in(repository(precision))
    random = np.random.default_rng(0)
    texts = [np.append(random.integers(5, 345, length), 2) for length in (3, 30, 9, 63, 1)]
    tokens = random.integers(5, 345, (len(texts), 34))  # beyond one block of the cache
    together = network.encode(texts)
    alone = [network.encode([text])[0] for text in texts]
    assert all(np.array_equal(one, other) for one, other in zip(together, alone, strict=True))
    rows = logits_along(network, together, tokens)
    for row, (source, own) in enumerate(zip(alone, tokens, strict=True)):
        assert np.array_equal(logits_along(network, [source], own[None])[0], rows[row])
    full = full_network(published)
    exact = logits_along(full, full.encode(texts), tokens)
    assert 1e-5 < np.sqrt(np.square(rows - exact).mean()) / exact.std() < 0.05  # of tokens that nobody would choose


def test_all_products_with_weights_are_integers(repository):
    models = repository(Precision.INT8)
    made = manifest_in(models).made
    for file, name, count in ((ENCODER_FILE, "encoder", 16), (STEP_FILE, "step", 13)):
        graph = onnx.load(step_in(models) / file).graph
        products = [node for node in graph.node if node.op_type == "MatMulIntegerToFloat"]
        assert len(products) == made[name]["int8_layers"] == made[name]["linear_layers"] == count
        matrices = {each.name: each.dims[0] for each in graph.initializer if len(each.dims) == 2}
        beside = [node for node in graph.node if node.op_type == "MatMul" and set(node.input) & set(matrices)]
        assert sum(matrices[node.input[1]] for node in beside) <= sum(matrices[node.input[1]] for node in products) / 30
    assert {each["precision"] for each in made["layers"]} == {"int8"}
    assert made["layers"][-1]["layer"].startswith("step: ")


def test_the_step_was_looked_at_on_texts_of_the_calibration_part(repository):
    calibration = manifest_in(repository(Precision.INT8)).calibration
    assert calibration["source"].startswith("encserve's corpus, part calibration")
    assert calibration["tokens"] > 10_000
    assert calibration["decoded_texts"] > 100


def test_bf16_needs_a_processor_that_has_it(checkpoint, monkeypatch, tmp_path):
    monkeypatch.setattr(asked, "read_cpu_flags", lambda: frozenset({"avx2"}))
    config = ExportConfig(
        checkpoint=str(checkpoint), name="t5", repository=tmp_path / "models", precision=Precision.BF16
    )
    with pytest.raises(InvalidConfig, match="avx512_bf16 or amx_bf16"):
        export(config)


def test_what_a_version_asks_of_its_host_is_in_its_settings(repository):
    settings = json.loads((step_in(repository(Precision.INT8)) / "settings.json").read_text())
    assert settings["requirements"]["x64quantprecision"] is True
    assert "avx512_vnni" in settings["requirements"]["fast_with"]
