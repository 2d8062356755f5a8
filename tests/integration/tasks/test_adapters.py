"""Adapters in one packed batch, by the SDK, over HTTP and by commands: against the network with each of them merged."""

import json
import subprocess
import sys
from pathlib import Path

import httpx2
import numpy as np
import pytest
import torch
import transformers
from references import TEXTS
from sentence_transformers import SentenceTransformer

from encserve import InvalidInput
from encserve.local import Encoder
from encserve_export.reference.merging import merge
from encserve_export.verify import verify

from .pipelines import SCORES

NAMES = [("none", "legal", "medical")[place % 3] for place in range(len(TEXTS))]


@pytest.fixture(scope="module")
def merged(checkpoints, adapters):
    """Name of an adapter -> the vectors that sentence-transformers gives for `TEXTS` with it merged."""
    torch.set_num_threads(1)
    vectors = {}
    for name in ("none", "legal", "medical"):
        encoder = SentenceTransformer(str(checkpoints["embed-bert"]), device="cpu")
        if name != "none":
            merge(encoder[0].auto_model, Path(adapters["embed-bert"][name]))
        vectors[name] = encoder.encode(TEXTS)
    return vectors


@pytest.fixture(scope="module")
def expected(merged):
    """The vectors of `TEXTS` with `NAMES`."""
    return np.stack([merged[name][place] for place, name in enumerate(NAMES)])


def test_one_adapter_for_all_texts(client, merged):
    for name, vectors in merged.items():
        answer = client.embed(TEXTS, model="embed-bert", adapter=name)
        np.testing.assert_allclose(answer.vectors, vectors, **SCORES)
    assert np.abs(merged["none"] - merged["legal"]).max() > 0.01
    assert np.abs(merged["medical"] - merged["legal"]).max() > 0.01
    without = client.embed(TEXTS, model="embed-bert").vectors
    none = client.embed(TEXTS, model="embed-bert", adapter="none").vectors
    np.testing.assert_allclose(without, none, rtol=0, atol=1e-5)  # batches differ, and with them the rounding


def test_each_text_of_a_call_has_its_own_adapter(client, expected):
    """The client sends four texts with each request, and each request the names of its own."""
    assert len(TEXTS) > 4
    np.testing.assert_allclose(client.embed(TEXTS, model="embed-bert", adapter=NAMES).vectors, expected, **SCORES)


def test_windows_of_a_long_text_have_its_adapter(client):
    long = ["word " * 150, "a short one", "other " * 100]
    for place, name in enumerate(("medical", "none", "legal")):
        together = client.embed(long, model="embed-bert", adapter=["medical", "none", "legal"], long_text="chunk")
        alone = client.embed([long[place]], model="embed-bert", adapter=name, long_text="chunk")
        np.testing.assert_allclose(together.vectors[place], alone.vectors[0], **SCORES)


def test_an_adapter_brings_its_head(client, checkpoints, adapters):
    network = transformers.AutoModelForSequenceClassification.from_pretrained(checkpoints["classify-bert"])
    merge(network, Path(adapters["classify-bert"]["polite"]))
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoints["classify-bert"])
    pipeline = transformers.pipeline("text-classification", network, tokenizer=tokenizer, device="cpu", top_k=None)
    names = [("none", "polite")[place % 2] for place in range(len(TEXTS))]
    answer = client.classify(TEXTS, model="classify-bert", adapter=names)
    plain = client.classify(TEXTS, model="classify-bert")
    for place, text in enumerate(TEXTS):
        if place % 2:
            (ranked,) = pipeline([text], truncation=True)
            assert list(answer.labels[place]) == [each["label"] for each in ranked]
            np.testing.assert_allclose(answer.scores[place], [each["score"] for each in ranked], **SCORES)
        else:
            assert answer.labels[place] == plain.labels[place]
            np.testing.assert_allclose(answer.scores[place], plain.scores[place], **SCORES)


def test_the_gateway_takes_a_name_or_a_list_of_them(gateway, expected, merged):
    def post(adapter):
        body = {"texts": TEXTS, "model": "embed-bert", "adapter": adapter}
        return httpx2.post(f"{gateway}/v1/feature-extraction", json=body, timeout=60)

    np.testing.assert_allclose(post(NAMES).json()["vectors"], expected, **SCORES)
    np.testing.assert_allclose(post("legal").json()["vectors"], merged["legal"], **SCORES)
    refused = post("fiscal")
    assert refused.status_code == 400
    assert "option adapter is 'fiscal'; this pipeline has 'none', 'legal', 'medical'" in refused.text


def test_commands_take_a_name_or_one_for_each_text(server, merged):
    def embed(*names):
        flags = [flag for name in names for flag in ("--adapter", name)]
        command = ["embed", *TEXTS[1:3], "--model", "embed-bert", "--url", server.grpc_url, *flags]
        done = subprocess.run(
            [sys.executable, "-m", "encserve", *command], capture_output=True, timeout=300, check=True
        )
        return [json.loads(line)["vector"] for line in done.stdout.splitlines()]

    np.testing.assert_allclose(embed("legal"), merged["legal"][1:3], **SCORES)
    np.testing.assert_allclose(embed("legal", "none"), [merged["legal"][1], merged["none"][2]], **SCORES)


def test_what_is_not_there_is_refused_by_name(client):
    with pytest.raises(InvalidInput, match=r"option adapter is 'fiscal'; this pipeline has 'none', 'legal', 'medical'"):
        client.embed(TEXTS, model="embed-bert", adapter="fiscal")
    with pytest.raises(InvalidInput, match=r"option adapter has 'fiscal' at 1; this pipeline has 'none', 'legal'"):
        client.embed(["a", "b"], model="embed-bert", adapter=["legal", "fiscal"])
    with pytest.raises(InvalidInput, match="adapter has 2 values for 3 texts"):
        client.embed(["a", "b", "c"], model="embed-bert", adapter=["legal", "legal"])
    with pytest.raises(InvalidInput, match="unknown option 'adapter'; this pipeline knows"):
        client.embed_tokens(["a"], model="embed-tokens-bert", adapter="legal")


def test_pipelines_say_which_adapters_they_have(client):
    listed = {pipeline.name: pipeline.adapters for pipeline in client.models()}
    assert (listed["embed-bert"], listed["classify-bert"]) == (("legal", "medical"), ("polite",))
    assert listed["embed-tokens-bert"] == ()


def test_a_pipeline_in_process_has_them_too(repository, expected):
    with Encoder(repository, "embed-bert") as encoder:
        np.testing.assert_allclose(encoder.embed(TEXTS, adapter=NAMES).vectors, expected, **SCORES)


def test_verify_asks_the_server_for_each_adapter(client, repository):
    verified = verify(client._transport, "embed-bert", repository, timeout_s=300)
    assert verified.complaints == []
    assert verified.asked["adapter legal"] == verified.asked["adapter medical"] >= 32
