"""BGE-M3 behind a real server: one request for all, and what is left out is not computed."""

import httpx2
import numpy as np
import pytest
from export.hybrid.test_outputs import GOLDEN, TEXTS

from encserve import InvalidInput

CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(GOLDEN))


def test_all_of_one_pass_are_those_of_flagembedding(client, golden):
    answer = client.embed_hybrid(TEXTS, model="hybrid-m3")
    for row in range(len(TEXTS)):
        np.testing.assert_allclose(answer.vectors[row], golden[f"dense_{row}"], **CLOSE)
        np.testing.assert_allclose(answer.token_vectors[row], golden[f"tokens_{row}"], **CLOSE)
        theirs = dict(zip(golden[f"terms_{row}"].tolist(), golden[f"weights_{row}"].tolist(), strict=True))
        ours = dict(zip(answer.token_ids[row].tolist(), answer.weights[row].tolist(), strict=True))
        assert ours == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize("wanted", ["dense", "sparse", "tokens"])
def test_one_output_alone(client, golden, wanted):
    off = {name: False for name in ("dense", "sparse", "tokens") if name != wanted}
    answer = client.embed_hybrid(TEXTS, model="hybrid-m3", **off)
    there = {name for name in ("vectors", "weights", "token_vectors") if getattr(answer, name) is not None}
    assert there == {{"dense": "vectors", "sparse": "weights", "tokens": "token_vectors"}[wanted]}


def test_the_verbs_of_each_output(client, golden):
    np.testing.assert_allclose(client.embed(TEXTS[:1], model="hybrid-m3").vectors[0], golden["dense_0"], **CLOSE)
    sparse = client.embed_sparse(TEXTS[:1], model="hybrid-m3")
    assert set(sparse.token_ids[0].tolist()) == set(golden["terms_0"].tolist())
    tokens = client.embed_tokens(TEXTS[:1], model="hybrid-m3")
    np.testing.assert_allclose(tokens.vectors[0], golden["tokens_0"], **CLOSE)


def test_nothing_at_all_is_refused(client):
    with pytest.raises(InvalidInput, match="none of dense, sparse, tokens is true"):
        client.embed_hybrid(TEXTS, model="hybrid-m3", dense=False, sparse=False, tokens=False)


def test_the_gateway_has_the_same(gateway, golden):
    asked = {"texts": TEXTS[:2], "model": "hybrid-m3", "tokens": False}
    found = httpx2.post(f"{gateway}/v1/hybrid-embedding", json=asked, timeout=60).json()
    np.testing.assert_allclose(found["vectors"][1], golden["dense_1"], **CLOSE)
    assert "token_vectors" not in found
