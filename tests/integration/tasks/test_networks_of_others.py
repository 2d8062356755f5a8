"""Networks that transformers does not have as they are published: tables of static embeddings, and gte "new", JinaBERT
v2 and Nomic's experts beside their published code, written down again."""

import json

import numpy as np
import pytest
from export.foreign import jina_network, moe_network
from export.foreign.new_network import NewNetwork
from export.foreign.test_gte_new import ids_of
from references import TEXTS
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer

from .pipelines import SCORES

WITH_TOKENS = [text for text in TEXTS if text]
"""Of the others a table has no row."""


def of_new(folder, texts):
    tensors, config = files_of(folder)
    network = NewNetwork(config, config["vocab_size"]).eval()
    network.load_state_dict(tensors)
    return [network(ids_of(folder, text))[0] for text in texts]


def of_jina(folder, texts):
    return [jina_network.states_of(*files_of(folder), ids_of(folder, text)).mean(0) for text in texts]


def of_experts(folder, texts):
    return [moe_network.states_of(*files_of(folder), ids_of(folder, text)).mean(0) for text in texts]


def of_tables(folder, texts):
    return SentenceTransformer(str(folder), device="cpu").float().encode(texts)


def files_of(folder):
    return load_file(folder / "model.safetensors"), json.loads((folder / "config.json").read_text())


@pytest.mark.parametrize(
    ("name", "vectors_of", "texts"),
    [
        ("static-model2vec", of_tables, WITH_TOKENS),
        pytest.param("static-sentences", of_tables, WITH_TOKENS, marks=pytest.mark.slow),
        ("embed-gte-new", of_new, TEXTS),
        ("embed-jina-v2", of_jina, TEXTS),
        ("embed-experts", of_experts, TEXTS),
    ],
)
def test_vectors_are_those_of_others_alone_and_in_company(client, checkpoints, name, vectors_of, texts):
    expected = np.stack(vectors_of(checkpoints[name], texts))
    assert np.ptp(expected[:, 0]) > 0.01
    vectors = client.embed(texts, model=name).vectors
    np.testing.assert_allclose(vectors, expected, **SCORES)
    alone = [client.embed([text], model=name).vectors[0] for text in texts]
    np.testing.assert_allclose(vectors, alone, rtol=0, atol=1e-6)
