"""Precisions end to end: MiniLM in each, on a real Triton server, against sentence-transformers in FP32.

By default int8 of MiniLM's first layer: weights that were trained, in a fraction of the time.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
from passages import mixed_texts
from serving import MINILM, first_layers, sentence_transformer, serve_config

from encserve import Client
from encserve_export.certificate.limits import PARITY_LIMITS
from encserve_export.config import ExportConfig, Precision, Runtime
from encserve_export.export import export
from encserve_server.launcher.server import TritonServer
from encserve_server.steps.encode.host.cpu_flags import BF16, lacks, read_cpu_flags

LAYERS = 6
"""Of MiniLM."""
WITHOUT_BF16 = lacks(read_cpu_flags(), BF16)


@pytest.fixture(
    scope="module",
    params=[
        (Precision.INT8, Runtime.ONNXRUNTIME, 1),
        pytest.param((Precision.FP32, Runtime.ONNXRUNTIME, LAYERS), marks=pytest.mark.slow),
        pytest.param((Precision.INT8, Runtime.ONNXRUNTIME, LAYERS), marks=pytest.mark.slow),
        pytest.param(
            (Precision.BF16, Runtime.OPENVINO, LAYERS),
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif(bool(WITHOUT_BF16), reason=f"this processor has no {WITHOUT_BF16}"),
            ],
        ),
    ],
    ids=["int8 of one layer", "fp32", "int8", "bf16"],
)
def served(request, tmp_path_factory):
    """The precision, the runtime, a server of MiniLM with them, and its checkpoint."""
    precision, runtime, layers = request.param
    folder = tmp_path_factory.mktemp("precisions")
    if runtime is Runtime.OPENVINO:
        pytest.importorskip("openvino")
    checkpoint = MINILM if layers == LAYERS else first_layers(layers, folder / "checkpoint")
    config = ExportConfig(checkpoint=str(checkpoint), name="minilm", repository=folder / "models")
    export(replace(config, precision=precision, runtime=runtime))
    with TritonServer(serve_config(config.repository)) as server:
        yield precision, runtime, server, checkpoint


@pytest.fixture(scope="module")
def texts():
    return mixed_texts(100, longest_bytes=3_000, seed=11)


def test_vectors_keep_to_the_limits_of_their_precision(served, texts):
    precision, runtime, server, checkpoint = served
    limits = PARITY_LIMITS[precision]
    with Client(server.grpc_url, timeout_s=120) as client:
        found = client.embed(texts, model="minilm").vectors
        longest = max(range(len(texts)), key=lambda index: len(texts[index]))
        for index in (0, 5, 40, 70):
            alone = client.embed([texts[index]], model="minilm").vectors[0]
            beside = client.embed([texts[index], texts[longest]], model="minilm").vectors[0]
            assert np.abs(found[index] - alone).max() <= limits.company_max_abs_diff
            assert np.abs(beside - alone).max() <= limits.company_max_abs_diff
        assert [pipeline.precision for pipeline in client.models()] == [precision.value]
    cosine = np.einsum("nh,nh->n", found, sentence_transformer(checkpoint).encode(texts, show_progress_bar=False))
    assert cosine.mean() >= limits.cosine_mean
    assert cosine.min() >= limits.cosine_min
    assert (np.abs(cosine - 1).max() > 1e-6) == (precision is not Precision.FP32)
    manifest = json.loads((server.config.repository / "minilm/1/manifest.json").read_text())
    assert (manifest["precision"], manifest["runtime"]["name"]) == (precision.value, runtime.value)
