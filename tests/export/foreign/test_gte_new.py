"""Alibaba-NLP's `new`: what its published code computes, through the network that transformers has for it."""

import json

import numpy as np
import pytest
import torch
import transformers

from encserve_export.certificate.subject.asked import Subject, library_of
from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.config import ExportConfig
from encserve_export.errors import CheckpointError, Unsupported
from encserve_export.export import export
from encserve_export.reference.asking import Asker
from encserve_export.reference.messages import Asked
from export.adapters.lora_files import write_adapter
from export.checkpoints.in_process import answers, load
from export.checkpoints.test_misread_layouts import TEXTS
from export.small_checkpoints import make_checkpoint, write_modules

from .new_network import CONFIG, write_new

CLS = [("Transformer", "", {"max_seq_length": 64}), ("Pooling", "1_Pooling", {"pooling_mode_cls_token": True})]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("bert"), "distilbert")


def ids_of(folder, *texts):
    return torch.tensor(
        transformers.AutoTokenizer.from_pretrained(folder)(*texts, truncation=True, max_length=64)["input_ids"]
    )


@pytest.mark.parametrize(
    "changes", [{}, {"rope_scaling": None}, {"type_vocab_size": 1, "rope_scaling": {"type": "ntk", "factor": 8.0}}]
)
def test_vectors_are_those_of_the_published_code(changes, tokenizer, tmp_path):
    network = write_new(tmp_path / "new", tokenizer, **changes)
    write_modules(tmp_path / "new", CLS, 32)
    ours = answers(tmp_path / "new", tmp_path, {"normalize": False}, text=TEXTS)["embedding"]
    expected = np.stack([network(ids_of(tokenizer, text))[0].numpy() for text in TEXTS])
    assert np.ptp(expected[:, 0]) > 0.01
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)
    assert load(tmp_path / "new").config.model_type == "gte"
    assert json.loads((tmp_path / "new/config.json").read_text())["model_type"] == "new"  # nothing was changed there


def test_the_frequencies_matter(tokenizer, tmp_path):
    """Without the scaling the same weights give other vectors: the test above would see a forgotten one."""
    scaled, plain = (
        write_new(tmp_path / name, tokenizer, rope_scaling=scaling)
        for name, scaling in (("scaled", CONFIG["rope_scaling"]), ("plain", None))
    )
    ids = ids_of(tokenizer, TEXTS[-1])
    assert (scaled(ids) - plain(ids)).abs().max() > 1e-3


def test_a_reranker(tokenizer, tmp_path):
    network = write_new(tmp_path / "new", tokenizer, labels=1)
    query = TEXTS[1]
    ours = answers(tmp_path / "new", tmp_path, task="text-ranking", text=[query], text_pair=TEXTS, max_length=64)
    expected = torch.stack([network.logits(ids_of(tokenizer, query, text))[0] for text in TEXTS]).sigmoid().numpy()
    scores = np.empty(len(TEXTS), np.float32)
    scores[np.ravel(ours["index"])] = np.ravel(ours["score"])
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_an_export_is_certified_against_the_native_network(tokenizer, tmp_path):
    write_new(tmp_path / "new", tokenizer)
    write_modules(tmp_path / "new", CLS, 32)
    manifest = export(ExportConfig(checkpoint=str(tmp_path / "new"), name="tiny", repository=tmp_path / "repository"))
    assert manifest.parity["figures"]["max_abs_diff"]["measured"] < 1e-5
    assert manifest.parity["library"].endswith("with a configuration that encserve translated from model type new")


def test_what_the_library_answers_says_that_the_configuration_was_translated(tokenizer, tmp_path):
    write_new(tmp_path / "new", tokenizer)
    write_modules(tmp_path / "new", CLS, 32)
    for folder, stated in ((tmp_path / "new", "new"), (tokenizer, None)):
        config = ExportConfig(checkpoint=str(folder), name="tiny", task="feature-extraction")
        library = library_of(load_checkpoint(config, weights=False), config)
        assert library.translated_from == stated
        said = "with a configuration that encserve translated from model type new"
        assert Asker(library).by.endswith(said) == (stated is not None)


def test_an_adapter_in_a_folder_of_such_a_checkpoint_is_merged_as_any(tokenizer, tmp_path):
    write_new(tmp_path / "new", tokenizer)
    write_modules(tmp_path / "new", CLS, 32)
    config = ExportConfig(checkpoint=str(tmp_path / "new"), name="tiny")
    write_adapter(tmp_path / "new/legal", load_checkpoint(config).model)
    checkpoint = load_checkpoint(config)
    subject = Subject(checkpoint=checkpoint, reference=library_of(checkpoint, config), folders={})
    (legal,) = checkpoint.adapters
    asked = subject.with_adapter(legal).reference
    assert (asked.adapter, asked.task_of) == (legal.folder, None)
    assert Asker(asked).answer(Asked({"text": TEXTS[:1]})).answers


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"logn_attention_scale": True}, "states 'logn_attention_scale': True"),
        ({"position_embedding_type": "absolute"}, "states 'position_embedding_type': 'absolute'"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "supported is the type 'ntk' with a factor"),
        ({"rope_scaling": {"type": "ntk", "factor": 2.0, "mixed_b": 0.5}}, "'mixed_b': 0.5"),
        ({"architectures": ["NewForQuestionAnswering"]}, "states the architecture 'NewForQuestionAnswering'"),
        ({"rope_scaling": {"type": "ntk"}}, "or the factor of its rope_scaling"),
        ({"something_else": 2}, "states 'something_else': 2"),
        (
            {"architectures": ["NewForSequenceClassification"], "type_vocab_size": 2},
            "states 'type_vocab_size': 2 for NewForSequenceClassification",
        ),
    ],
)
def test_what_the_native_network_does_not_do(changes, message, tokenizer, tmp_path):
    write_new(tmp_path / "new", tokenizer)
    (tmp_path / "new/config.json").write_text(json.dumps(CONFIG | {"vocab_size": 400} | changes))
    with pytest.raises((CheckpointError, Unsupported), match=message):
        load(tmp_path / "new", task="feature-extraction")
