"""What is read of a GLiNER2 checkpoint, and what is refused by its name before anything is made."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from encserve_export.certificate.variants import variants_of
from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.config import Engine, ExportConfig
from encserve_export.engines.table import check_entities
from encserve_export.errors import CheckpointError, Unsupported
from encserve_export.publication.request_options import options_of
from export.checkpoints.in_process import load
from export.test_inspect import said

from .checkpoints import ADDED, BERT, gliner2


def test_its_task_is_that_of_gliner(tmp_path):
    checkpoint = load(gliner2(tmp_path / "checkpoint"))
    assert checkpoint.task.name == "zero-shot-token-classification"
    assert (checkpoint.task.layout, checkpoint.task.head) == ("gliner2_texts", "entities.gliner2_entities")
    assert checkpoint.columns == {"logits": 4 * 64}
    assert checkpoint.config.vocab_size == len(checkpoint.tokenizer)
    assert checkpoint.max_length == 2 * 384 + 256
    stated = checkpoint.entity_settings
    opening = checkpoint.tokenizer.convert_ids_to_tokens(stated["opening"])
    assert [opening[place] for place, role in enumerate(stated["opening_roles"]) if role == 3] == ["[P]"]
    assert checkpoint.tokenizer.convert_ids_to_tokens(stated["reserved"]) == ADDED
    assert "nested" in options_of(checkpoint)
    assert "multi_label" not in options_of(checkpoint)


@pytest.mark.parametrize("key", ["extra_special_tokens", "additional_special_tokens"])
def test_its_tokens_may_be_listed_as_older_files_do(tmp_path, key):
    folder = gliner2(tmp_path / "checkpoint")
    stated = json.loads((folder / "tokenizer_config.json").read_text()) | {key: ADDED}
    (folder / "tokenizer_config.json").write_text(json.dumps(stated))
    checkpoint = load(folder)
    assert checkpoint.tokenizer.convert_ids_to_tokens(checkpoint.entity_settings["reserved"]) == ADDED


def test_rows_are_as_long_as_the_network_takes(tmp_path):
    assert load(gliner2(tmp_path / "checkpoint", encoder=BERT)).max_length == 160


@pytest.mark.parametrize("most", [28, 336])
def test_what_the_certificate_asks_fits_into_rows(tmp_path, most):
    checkpoint = load(gliner2(tmp_path / "checkpoint"), max_length=most)
    asked = [each for each in variants_of(checkpoint) if "labels" in each]
    assert any("descriptions" in each for each in asked) == (most == 336)
    for each in asked:
        assert len(checkpoint.labelled_row("", each["labels"], each.get("descriptions", ()))) <= most // 2


def test_without_weights(tmp_path, capsys):
    folder = gliner2(tmp_path / "checkpoint")
    (folder / "model.safetensors").unlink()
    asked = ExportConfig(checkpoint=str(folder), name="tiny")
    assert load_checkpoint(asked, weights=False).dimensions == 4 * 64
    found = said(capsys, folder, "--no-weights")
    assert (found["task"], found["entities"]) == ("zero-shot-token-classification", "spans of 1 to 4 words")


def test_a_pickle_is_read_as_tensors_where_it_is_allowed(tmp_path):
    folder = gliner2(tmp_path / "checkpoint", pickled=True)
    with pytest.raises(CheckpointError, match="give --allow-pickle"):
        load(folder)
    read = load(folder, allow_pickle=True).entities.state_dict()
    other = load(gliner2(tmp_path / "other")).entities.state_dict()
    assert all(torch.equal(read[name], other[name]) for name in other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"architecture": "boundary"},
            "states architecture 'boundary', that of GLiNER2.5, which is not served. Served are GLiNER2's networks",
        ),
        ({"architecture": "another"}, "states architecture 'another', which is not served. Served are GLiNER2's"),
        ({"token_pooling": "mean"}, "states 'token_pooling': 'mean'.*supported is 'first'"),
        ({"span_head": {"span_mode": "markerV1"}}, "states 'span_mode': 'markerV1'.*supported is 'markerV0'"),
        ({"counting_layer": "count_none"}, "states counting_layer 'count_none', which is not served"),
        ({"something_new": 3}, "states 'something_new': 3"),
    ],
)
def test_what_is_not_served_is_refused_by_its_name(tmp_path, changes, message):
    folder = gliner2(tmp_path / "checkpoint")
    stated = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(stated))
    with pytest.raises(Unsupported, match=message):
        load(folder)


@pytest.mark.parametrize("changes", [{"max_width": -1}, {"span_head": {"max_width": "8"}}])
def test_numbers_that_do_not_fit(tmp_path, changes):
    with pytest.raises(CheckpointError, match=r"states max_width .*; a whole number from 1 on"):
        load(gliner2(tmp_path / "checkpoint", **changes))


@pytest.mark.parametrize("kind", ["t5", "qwen2"])
def test_encoders_of_another_kind_are_refused_by_their_name(tmp_path, kind):
    folder = gliner2(tmp_path / "checkpoint")
    (folder / "encoder_config" / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(Unsupported, match=f"has model type '{kind}'"):
        load(folder)


def test_an_encoder_without_a_configuration(tmp_path):
    folder = gliner2(tmp_path / "checkpoint")
    (folder / "encoder_config" / "config.json").unlink()
    with pytest.raises(CheckpointError, match="is missing, which says what the encoder of GLiNER2 is"):
        load(folder)


def test_tokens_that_the_network_has_no_vector_for(tmp_path):
    """The library draws them at random."""
    folder = gliner2(tmp_path / "checkpoint")
    tensors = load_file(folder / "model.safetensors")
    name = "encoder.embeddings.word_embeddings.weight"
    save_file(tensors | {name: tensors[name][:-3].clone()}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="would draw the others at random"):
        load(folder)


def test_code_that_a_tokenizer_or_an_encoder_names_is_not_run(tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *question: "y")
    own, encoder = gliner2(tmp_path / "own"), gliner2(tmp_path / "encoder")
    stated = json.loads((own / "tokenizer_config.json").read_text())
    stated |= {"tokenizer_class": "Foreign", "auto_map": {"AutoTokenizer": ["foreign.Foreign", "foreign.Foreign"]}}
    (own / "tokenizer_config.json").write_text(json.dumps(stated))
    (encoder / "encoder_config" / "config.json").write_text(
        json.dumps({"model_type": "foreign", "auto_map": {"AutoConfig": "foreign.Foreign"}})
    )
    for folder, place in ((own, own), (encoder, encoder / "encoder_config")):
        (place / "foreign.py").write_text("raise SystemExit('it ran')")
        with pytest.raises(CheckpointError, match="trust_remote_code"):
            load(folder)


def test_tensors_that_lack_or_are_too_many(tmp_path):
    folder = gliner2(tmp_path / "checkpoint")
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"boundary_head.bias": torch.zeros(3)}, folder / "model.safetensors")
    with pytest.raises(Unsupported, match=r"nothing reads, such as boundary_head\.bias"):
        load(folder)
    save_file(tensors | {"count_pred.2.bias": torch.zeros(3)}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"count_pred\.2\.bias has the shape \[3\], config\.json asks for \[20\]"):
        load(folder)
    del tensors["count_embed.gru.bias_hh_l0"]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"lack 1 tensors .* such as count_embed\.gru\.bias_hh_l0"):
        load(folder)


def test_other_tasks_and_engines(tmp_path):
    folder = gliner2(tmp_path / "checkpoint")
    with pytest.raises(Unsupported, match=r"--task feature-extraction: .* served for zero-shot-token-classification"):
        load(folder, task="feature-extraction")
    asked = ExportConfig(checkpoint=str(folder), name="tiny", engine=Engine.TENSORRT)
    with pytest.raises(Unsupported, match="--engine tensorrt is not served"):
        check_entities(asked, {"": load(folder)})
