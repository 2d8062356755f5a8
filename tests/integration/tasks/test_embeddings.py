"""Vectors of texts, of tokens and of vocabularies, against transformers and sentence-transformers."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from references import TEXTS, cut
from sentence_transformers import SentenceTransformer, SparseEncoder
from serving import PROMPTS

from encserve import InvalidInput

from .pipelines import SCORES


def test_shorter_vectors(client):
    full = client.embed(TEXTS, model="embed-bert").vectors
    int8 = client.embed(TEXTS, model="embed-bert", output_dtype="int8").vectors
    assert (full.dtype, int8.dtype, int8.shape) == (np.float32, np.int8, full.shape)
    assert np.abs(int8 - full * 127 / np.abs(full).max(1, keepdims=True)).max() <= 0.5 + 1e-3
    bits = client.embed(TEXTS, model="embed-bert", output_dtype="binary", dimensions=16).vectors
    np.testing.assert_array_equal(bits, np.packbits(full[:, :16] > 0, axis=1))


def test_lengths_that_the_model_was_not_trained_for(client):
    with pytest.raises(InvalidInput, match="option dimensions is 12; the model was trained for 8, 16, 32"):
        client.embed(TEXTS, model="embed-bert", dimensions=12)
    full, short = (client.embed(TEXTS, model="embed-bert", dimensions=length).vectors for length in (32, 8))
    np.testing.assert_allclose(short, full[:, :8], **SCORES)


def test_embed_tokens(client, reference):
    pipeline = reference("embed-tokens-bert", "feature-extraction")
    answer = client.embed_tokens(TEXTS, model="embed-tokens-bert")
    for text, vectors, offsets in zip(TEXTS, answer.vectors, answer.offsets, strict=True):
        expected = np.array(pipeline(text, tokenize_kwargs=cut(pipeline.tokenizer))[0])
        np.testing.assert_allclose(vectors, expected, **SCORES)
        places = pipeline.tokenizer(text, return_offsets_mapping=True, **cut(pipeline.tokenizer))["offset_mapping"]
        assert offsets[1:-1].tolist() == [list(place) for place in places[1:-1]]
        assert offsets[[0, -1]].tolist() == [[-1, -1], [-1, -1]]
    short = client.embed_tokens(TEXTS, model="embed-tokens-bert", dimensions=8, normalize=True)
    for vectors in short.vectors:
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, **SCORES)
        assert vectors.shape[1] == 8


@pytest.mark.parametrize("name", PROMPTS)
def test_embed_tokens_with_a_prompt(client, reference, name):
    """The prompt's tokens are embedded too, and the others keep their places in the text."""
    pipeline, prompt = reference("embed-tokens-bert", "feature-extraction"), PROMPTS[name]
    answer = client.embed_tokens(TEXTS, model="embed-tokens-bert", prompt_name=name)
    own = len(pipeline.tokenizer(prompt, add_special_tokens=False)["input_ids"])
    for text, vectors, offsets in zip(TEXTS, answer.vectors, answer.offsets, strict=True):
        expected = np.array(pipeline(prompt + text, tokenize_kwargs=cut(pipeline.tokenizer))[0])
        np.testing.assert_allclose(vectors, expected, **SCORES)
        places = pipeline.tokenizer(text, return_offsets_mapping=True)["offset_mapping"][1:-1]
        kept = len(vectors) - own - 2
        assert offsets[: own + 1].tolist() == [[-1, -1]] * (own + 1)
        assert offsets[own + 1 : -1].tolist() == [list(place) for place in places[:kept]]


def test_embed_sparse(client, checkpoints):
    encoder = SparseEncoder(str(checkpoints["embed-sparse-bert"]), device="cpu")
    encoder.max_seq_length = 64
    expected = encoder.encode(TEXTS, convert_to_sparse_tensor=False).numpy()
    answer = client.embed_sparse(TEXTS, model="embed-sparse-bert")
    for ids, weights, row in zip(answer.token_ids, answer.weights, expected, strict=True):
        assert sorted(ids.tolist()) == np.flatnonzero(row).tolist()
        np.testing.assert_allclose(weights, row[ids], **SCORES)
        assert (np.diff(weights) <= 0).all()
    with pytest.raises(InvalidInput, match="unknown option 'input_type'"):
        client.embed_sparse(TEXTS, model="embed-sparse-bert", input_type="query")
    best = client.embed_sparse(TEXTS, model="embed-sparse-bert", top_k=3)
    assert [ids.tolist() for ids in best.token_ids] == [ids[:3].tolist() for ids in answer.token_ids]


def test_a_table_answers_queries_and_the_network_documents(client, checkpoints):
    encoder = SparseEncoder(str(checkpoints["sparse-routed-bert"]), device="cpu")
    for kind, encode in (("query", encoder.encode_query), ("document", encoder.encode_document)):
        expected = encode(TEXTS, convert_to_sparse_tensor=False).numpy()
        answer = client.embed_sparse(TEXTS, model="sparse-routed-bert", input_type=kind)
        alone = [client.embed_sparse([text], model="sparse-routed-bert", input_type=kind) for text in TEXTS]
        rows = zip(answer.token_ids, answer.weights, alone, expected, strict=True)
        for ids, weights, by_itself, row in rows:
            assert sorted(ids.tolist()) == np.flatnonzero(row).tolist()
            np.testing.assert_allclose(weights, row[ids], **SCORES)
            np.testing.assert_array_equal(by_itself.token_ids[0], ids)
            np.testing.assert_allclose(by_itself.weights[0], weights, rtol=0, atol=1e-6)
    plain = client.embed_sparse(TEXTS, model="sparse-routed-bert")
    assert [ids.tolist() for ids in plain.token_ids] == [ids.tolist() for ids in answer.token_ids]


def test_queries_and_documents_of_one_batch(client):
    """Requests of either kind that reach the encode step together, some of which hold no text for it."""
    with ThreadPoolExecutor(8) as pool:
        kinds = ["query", "document"] * 20
        asked = [pool.submit(client.embed_sparse, TEXTS, model="sparse-routed-bert", input_type=kind) for kind in kinds]
        answers = {kind: set() for kind in kinds}
        for kind, each in zip(kinds, asked, strict=True):
            answers[kind].add(tuple(tuple(ids.tolist()) for ids in each.result().token_ids))
    assert {kind: len(found) for kind, found in answers.items()} == {"query": 1, "document": 1}


@pytest.mark.parametrize(("name", "options"), [("embed-tokens-bert", {}), ("late-bert", {"input_type": "query"})])
def test_vectors_of_tokens_in_shorter_types(client, name, options):
    texts = [text for text in TEXTS if text]
    whole = client.embed_tokens(texts, model=name, **options)
    int8 = client.embed_tokens(texts, model=name, output_dtype="int8", **options)
    bits = client.embed_tokens(texts, model=name, output_dtype="binary", dimensions=8, **options)
    for full, short, packed in zip(whole.vectors, int8.vectors, bits.vectors, strict=True):
        assert (short.dtype, short.shape) == (np.int8, full.shape)
        assert np.abs(short - full * 127 / np.abs(full).max(1, keepdims=True)).max() <= 0.5 + 1e-3
        np.testing.assert_array_equal(packed, np.packbits(full[:, :8] > 0, axis=1))


@pytest.mark.parametrize("name", ["embed-bert", "embed-instructed-bert"])
def test_a_prompt_that_the_call_writes_out(client, checkpoints, name):
    """In the mean of a text, or not, as the checkpoint says; whatever prompts stand beside it in a batch."""
    encoder = SentenceTransformer(str(checkpoints[name]), device="cpu")
    encoder.max_seq_length = client.pipeline(name).max_length
    prompts = ["", "Represent this for a search: ", "a text of the town: "]
    with ThreadPoolExecutor(6) as pool:
        asked = [(prompt, pool.submit(client.embed, TEXTS, model=name, prompt=prompt)) for prompt in prompts * 2]
        for prompt, answer in asked:
            np.testing.assert_allclose(answer.result().vectors, encoder.encode(TEXTS, prompt=prompt), **SCORES)
    with pytest.raises(InvalidInput, match="option prompt has 4097 bytes; it may have 4096"):
        client.embed(["a"], model=name, prompt="p" * 4_097)
