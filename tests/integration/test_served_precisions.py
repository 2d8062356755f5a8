"""bf16 and int8 end to end: MiniLM in each, on one real Triton server, against FP32."""

import json

import numpy as np
import pytest
from serving import MINILM, serve_config

from encserve import Client
from encserve_export.config import ExportConfig, Precision, Runtime
from encserve_export.corpus import mixed_texts
from encserve_export.limits import PARITY_LIMITS
from encserve_export.pipeline import export
from encserve_server.models.cpu_flags import BF16, lacks, read_cpu_flags
from encserve_server.server import TritonServer

pytestmark = pytest.mark.slow
WITHOUT_BF16 = lacks(read_cpu_flags(), BF16)
PIPELINES = {
    "int8": (Precision.INT8, Runtime.ONNXRUNTIME),
    "bf16": (Precision.BF16, Runtime.OPENVINO),
}


@pytest.fixture(scope="module")
def precise(tmp_path_factory):
    """A client of a server with a pipeline for each precision that this host can do."""
    folder = tmp_path_factory.mktemp("precisions")
    openvino = pytest.importorskip("openvino")
    assert openvino
    for name, (precision, runtime) in PIPELINES.items():
        if precision is not Precision.BF16 or not WITHOUT_BF16:
            config = ExportConfig(
                checkpoint=str(MINILM), name=name, repository=folder, precision=precision, runtime=runtime
            )
            export(config)
    with TritonServer(serve_config(folder)) as server, Client(server.grpc_url, timeout_s=120) as client:
        yield client, folder


@pytest.fixture(scope="module")
def texts():
    return mixed_texts(100, longest_bytes=3_000, seed=11)


@pytest.mark.parametrize("name", PIPELINES)
def test_vectors_keep_to_the_limits_of_their_precision(precise, reference, texts, name):
    client, folder = precise
    precision, runtime = PIPELINES[name]
    if precision is Precision.BF16 and WITHOUT_BF16:
        pytest.skip(f"this processor has no {WITHOUT_BF16}")
    limits = PARITY_LIMITS[precision]
    found = client.embed(texts, model=name).vectors
    cosine = np.einsum("nh,nh->n", found, reference.encode(texts, show_progress_bar=False))
    assert cosine.mean() >= limits.cosine_mean
    assert cosine.min() >= limits.cosine_min
    assert np.abs(cosine - 1).max() > 1e-6, "this is FP32"

    longest = max(range(len(texts)), key=lambda index: len(texts[index]))
    for index in (0, 5, 40, 70):
        alone = client.embed([texts[index]], model=name).vectors[0]
        beside = client.embed([texts[index], texts[longest]], model=name).vectors[0]
        assert np.abs(found[index] - alone).max() <= limits.company_max_abs_diff
        assert np.abs(beside - alone).max() <= limits.company_max_abs_diff

    manifest = json.loads((folder / name / "1/manifest.json").read_text())
    assert (manifest["precision"], manifest["runtime"]["name"]) == (precision.value, runtime.value)
    assert {pipeline.name: pipeline.precision for pipeline in client.models()}[name] == precision.value
