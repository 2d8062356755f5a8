"""Sentence embeddings end to end: SDK, Triton, packed graph; against sentence-transformers."""

import asyncio
import hashlib
import random
import time
import urllib.request

import numpy as np
import pytest
from passages import mixed_texts
from serving import PROMPTS, sentence_transformer

from encserve import AsyncClient

DIFFICULT = [
    "",
    " ",
    "\x00\x01\x7f",
    "tab\tand\r\nline\nends",
    "👩‍👩‍👧‍👦 family, 🇧🇪 flag, e\u0301 combining, \u0f3b\u0f3c",
    "שלום עולם مرحبا بالعالم",
    "Ωμέγα ﬀ ligature Ⅳ ½ ㎏",
    "a" * 5_000,
    "word " * 3_000,
    "\u200b\u200f\ufeff",
    "[CLS] text that names [SEP] special tokens [MASK]",
]


@pytest.fixture(scope="module")
def texts():
    return [*DIFFICULT, *mixed_texts(200 - len(DIFFICULT), longest_bytes=4_000, seed=7)]


def test_vectors_are_those_of_sentence_transformers(client, reference, texts):
    result = client.embed(texts, model="minilm")
    expected = reference.encode(texts, batch_size=16, show_progress_bar=False)
    assert result.vectors.shape == (200, 384)
    assert np.abs(result.vectors - expected).max() <= 1e-4
    assert result.token_counts.max() == 256
    tokenizer = reference.tokenizer
    whole = np.array([len(ids) for ids in tokenizer(texts, truncation=False, verbose=False)["input_ids"]])
    assert result.token_counts.tolist() == np.minimum(whole, 256).tolist()
    assert result.dropped_counts.tolist() == np.maximum(whole - 256, 0).tolist()


def test_a_vector_does_not_depend_on_its_company(client, texts):
    together = client.embed(texts, model="minilm").vectors
    for seed in (1, 2):
        order = random.Random(seed).sample(range(len(texts)), len(texts))
        shuffled = client.embed([texts[index] for index in order], model="minilm").vectors
        assert np.abs(shuffled - together[order]).max() <= 1e-5
    for index in range(0, len(texts), 10):
        alone = client.embed([texts[index]], model="minilm").vectors[0]
        assert np.abs(alone - together[index]).max() <= 1e-5


async def test_concurrent_requests_get_their_own_rows(server, client):
    """200 requests of 1 to 64 texts each at once; Triton batches them together."""
    rng = random.Random(3)
    words = " ".join(mixed_texts(40, longest_bytes=300, seed=1)).split()
    distinct = [" ".join(rng.choices(words, k=rng.randint(1, 12))) + f" {number}" for number in range(256)]
    expected = dict(zip(distinct, client.embed(distinct, model="minilm").vectors, strict=True))
    requests = [rng.choices(distinct, k=rng.randint(1, 64)) for _ in range(200)]
    before = batches(server)
    async with AsyncClient(server.grpc_url, timeout_s=600) as concurrent:  # whose rows, not how fast
        answers = await asyncio.gather(*(concurrent.embed(request, model="minilm") for request in requests))
    for request, answer in zip(requests, answers, strict=True):
        assert answer.token_counts.shape == (len(request),)
        assert np.abs(answer.vectors - np.stack([expected[text] for text in request])).max() <= 1e-5
    time.sleep(1.1)  # counters are told once a second, by the next batch
    client.embed(["a text that makes the step tell its counters"], model="minilm")
    assert 0 < batches(server) - before < 100, "requests were not batched"


def batches(server):
    """How many batches the encode step computed."""
    with urllib.request.urlopen(server.metrics_url) as page:
        (line,) = (
            line
            for line in page.read().decode().splitlines()
            if line.startswith("encserve_batches{") and 'model="minilm_encode"' in line
        )
    return int(float(line.rsplit(" ", 1)[1]))


def test_truncation_side(client, reference):
    words = [f"number {number}" for number in range(400)]
    result = {side: client.embed([" ".join(words)], model="minilm", truncate=side) for side in ("end", "start")}
    ids = reference.tokenizer(" ".join(words), truncation=False, verbose=False)["input_ids"]
    kept = {"end": [*ids[:255], ids[-1]], "start": [ids[0], *ids[-255:]]}
    for side, answer in result.items():
        text = reference.tokenizer.decode(kept[side][1:-1])
        assert reference.tokenizer(text)["input_ids"] == kept[side]
        assert np.abs(answer.vectors - reference.encode([text])).max() <= 1e-4
        assert (answer.token_counts[0], answer.dropped_counts[0]) == (256, len(ids) - 256)


def test_dimensions_and_normalize(client, reference):
    texts = ["a short text", "another, a little longer"]
    raw = reference.encode(texts, normalize_embeddings=False)
    short = client.embed(texts, model="minilm", dimensions=64).vectors
    cut = raw[:, :64]
    assert np.abs(short - cut / np.linalg.norm(cut, axis=1, keepdims=True)).max() <= 1e-4
    unnormalised = client.embed(texts, model="minilm", normalize=False).vectors
    norms = np.linalg.norm(unnormalised, axis=1)
    assert (np.abs(norms - 1) > 0.1).all()
    assert np.abs(unnormalised / norms[:, None] - raw).max() <= 1e-4


def test_prompts(client, prompted_folder):
    reference = sentence_transformer(prompted_folder)
    texts = ["why is the sky blue", "x"]
    by_default = client.embed(texts, model="prompted").vectors
    assert np.abs(by_default - reference.encode(texts)).max() <= 1e-4
    for name in PROMPTS:
        chosen = client.embed(texts, model="prompted", prompt_name=name).vectors
        assert np.abs(chosen - reference.encode(texts, prompt_name=name)).max() <= 1e-4
    without = client.embed(texts, model="prompted", prompt_name="").vectors
    assert np.abs(without - reference.encode(texts, prompt="")).max() <= 1e-4
    assert np.abs(without - by_default).max() > 0.01


def test_the_result_says_who_answered(client, repository):
    result = client.embed(["x"], model="minilm")
    assert (result.model, result.version) == ("minilm", "1")
    manifest = (repository / "minilm/1/manifest.json").read_bytes()
    assert result.certificate == hashlib.sha256(manifest).hexdigest()
    assert {pipeline.name for pipeline in client.models()} == {"minilm", "prompted"}
