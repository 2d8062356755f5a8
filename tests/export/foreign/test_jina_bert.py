"""JinaBERT v2: what its published code computes, through the network that encserve wrote down of it."""

import json
import re

import numpy as np
import pytest
import torch
import transformers

from encserve_export.config import ExportConfig
from encserve_export.errors import CheckpointError, Unsupported
from encserve_export.export import export
from encserve_local import Encoder
from export.checkpoints.in_process import answers, load
from export.checkpoints.misread_layouts import add_tensors
from export.checkpoints.test_misread_layouts import TEXTS
from export.small_checkpoints import make_checkpoint, write_modules

from .jina_network import CONFIG, OF_CODE, logits_of, states_of, write_jina
from .test_gte_new import ids_of

MEAN = [("Transformer", "", {"max_seq_length": 64}), ("Pooling", "1_Pooling", {"pooling_mode_mean_tokens": True})]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("bert"), "bert")


def vectors_of(tensors, config, tokenizer, prefix=""):
    return np.stack([states_of(tensors, config, ids_of(tokenizer, text), prefix).mean(0).numpy() for text in TEXTS])


@pytest.mark.parametrize("changes", [{}, {"num_attention_heads": 6}, {"masked": True}, OF_CODE])
def test_vectors_are_those_of_the_published_code(changes, tokenizer, tmp_path):
    """Six heads are no power of two, for which slopes are chosen otherwise; a head of training is passed over; and
    jina-embeddings-v2-base-code has layers of its own."""
    tensors, config = write_jina(tmp_path / "jina", tokenizer, **changes)
    write_modules(tmp_path / "jina", MEAN, 48)
    ours = answers(tmp_path / "jina", tmp_path, text=TEXTS)["embedding"]
    expected = vectors_of(tensors, config, tokenizer, "bert." if "masked" in changes else "")
    assert np.ptp(expected[:, 0]) > 0.01
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)


def test_a_reranker(tokenizer, tmp_path):
    tensors, config = write_jina(tmp_path / "jina", tokenizer, labels=1)
    query = TEXTS[1]
    ours = answers(tmp_path / "jina", tmp_path, task="text-ranking", text=[query], text_pair=TEXTS, max_length=64)
    loaded = transformers.AutoTokenizer.from_pretrained(tokenizer)
    pairs = [loaded(query, text, truncation=True, max_length=64, return_tensors="pt") for text in TEXTS]
    logits = [logits_of(tensors, config, pair["input_ids"][0], pair["token_type_ids"][0])[0] for pair in pairs]
    scores = np.empty(len(TEXTS), np.float32)
    scores[np.ravel(ours["index"])] = np.ravel(ours["score"])
    np.testing.assert_allclose(scores, torch.stack(logits).sigmoid().numpy(), rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, OF_CODE])
def test_an_export_is_certified(changes, tokenizer, tmp_path):
    """Packed, beside the same network text by text in the library's process; and beside the published code."""
    tensors, config = write_jina(tmp_path / "jina", tokenizer, **changes)
    write_modules(tmp_path / "jina", MEAN, 48)
    repository = tmp_path / "repository"
    manifest = export(ExportConfig(checkpoint=str(tmp_path / "jina"), name="tiny", repository=repository))
    assert manifest.parity["figures"]["max_abs_diff"]["measured"] < 1e-5
    assert manifest.parity["library"].endswith("around encserve's own network for jina_bert_v2")
    with Encoder(repository, "tiny") as encoder:
        vectors = encoder.embed(TEXTS).vectors
    np.testing.assert_allclose(vectors, vectors_of(tensors, config, tokenizer), rtol=0, atol=1e-5)


def test_what_it_is_not(tokenizer, tmp_path):
    write_jina(tmp_path / "jina", tokenizer)
    write_modules(tmp_path / "jina", MEAN, 48)
    norm = "encoder.layer.0.attention.self.layer_norm_q.weight"
    add_tensors(tmp_path / "jina", **{norm: torch.ones(48)})
    with pytest.raises(Unsupported, match=f"1 tensors .* such as {re.escape(norm)}"):
        load(tmp_path / "jina")
    (tmp_path / "jina/config.json").write_text(json.dumps(CONFIG | {"feed_forward_type": "reglu"}))
    with pytest.raises(Unsupported, match="states 'feed_forward_type': 'reglu' beside ALiBi"):
        load(tmp_path / "jina")


@pytest.mark.parametrize(("written", "stated"), [({}, OF_CODE), (OF_CODE, {})])
def test_neither_kind_reads_the_weights_of_the_other(written, stated, tokenizer, tmp_path):
    _, config = write_jina(tmp_path / "jina", tokenizer, **written)
    (tmp_path / "jina/config.json").write_text(json.dumps(config | CONFIG | stated))
    with pytest.raises(
        CheckpointError, match=r"lack \d+ tensors that feature-extraction needs, such as encoder\.layer\.0"
    ):
        load(tmp_path / "jina", task="feature-extraction")
