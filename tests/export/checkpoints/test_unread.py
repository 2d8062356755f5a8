"""Keys of a checkpoint's files, and tensors of its weights, that nobody reads."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer

from encserve_export.checkpoint.configuration import load_config
from encserve_export.config import ExportConfig
from encserve_export.errors import CheckpointError, Unsupported
from encserve_export.publication.request_options import options_of
from export.small_checkpoints import make_checkpoint

from .in_process import answers, load
from .misread_layouts import add_tensors, change_json, dense_on_tokens, older_settings
from .test_misread_layouts import TEXTS, close

BERT_BASE_CHINESE = {
    "directionality": "bidi",
    "finetuning_task": None,
    "gradient_checkpointing": False,
    "num_labels": 2,
    "output_past": True,
    "pooler_fc_size": 768,
    "pooler_num_attention_heads": 12,
    "pooler_num_fc_layers": 3,
    "pooler_size_per_head": 128,
    "pooler_type": "first_token_transform",
    "position_embedding_type": "absolute",
    "pruned_heads": {},
    "torch_dtype": "float32",
    "torchscript": False,
    "_name_or_path": "somewhere",
    "max_length": 20,
    "do_sample": False,
}
"""What published configs of BERT hold beside the keys that transformers writes today."""

PUBLISHED = json.loads((Path(__file__).parent / "published_configs.json").read_text())
"""Configs with the keys of published ones, by what they are of."""


@pytest.fixture
def folder(tmp_path):
    return make_checkpoint(tmp_path / "checkpoint")


def test_what_published_configs_hold_is_passed_over(folder):
    change_json(folder / "config.json", **BERT_BASE_CHINESE)
    assert load(folder).max_length == 64


@pytest.mark.parametrize("published", PUBLISHED)
def test_the_keys_of_published_configs_are_all_read_or_listed(published, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(PUBLISHED[published]))
    load_config(tmp_path, ExportConfig(checkpoint=str(tmp_path), name="tiny"))


def test_a_first_token_that_is_forced_must_be_named(tmp_path):
    """transformers has forgotten the older of two spellings, which says no token."""
    file = tmp_path / "config.json"
    config = ExportConfig(checkpoint=str(tmp_path), name="tiny")
    stated = PUBLISHED["BART for summaries"] | {"force_bos_token_to_be_generated": True}
    file.write_text(json.dumps(stated))
    load_config(tmp_path, config)
    file.write_text(json.dumps(stated | {"forced_bos_token_id": None}))
    with pytest.raises(Unsupported, match="states 'force_bos_token_to_be_generated': True"):
        load_config(tmp_path, config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rotary_value_scale": 2}, "states 'rotary_value_scale': 2, which is not supported: nothing here reads it"),
        ({"is_decoder": True}, "states 'is_decoder': True, which is not supported; supported is False or None"),
        ({"add_cross_attention": True}, "states 'add_cross_attention': True, which is not supported"),
        ({"pruned_heads": {"1": [2]}}, "states 'pruned_heads': .*; supported is {} or None"),
        ({"quantization_config": {"bits": 4}}, "states 'quantization_config'"),
    ],
)
def test_a_key_of_the_config_that_nobody_reads(changes, message, folder):
    change_json(folder / "config.json", **changes)
    with pytest.raises(Unsupported, match=message):
        load(folder)


def test_a_config_that_transformers_refuses(folder):
    change_json(folder / "config.json", problem_type="single_label_classification", num_labels=1)
    with pytest.raises(CheckpointError, match=r"transformers does not take .*config\.json"):
        load(folder)


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("1_Dense/config.json", {"scale": 2}),
        ("2_Pooling/config.json", {"temperature": 2}),
        ("config_sentence_transformers.json", {"truncate_dim": 8}),
        ("sentence_bert_config.json", {"query_length": 8}),
        ("sentence_bert_config.json", {"model_args": {"is_causal": True}}),
    ],
)
def test_a_key_of_a_module_that_nobody_reads(file, changes, tmp_path):
    folder = dense_on_tokens(tmp_path)
    assert load(folder).dimensions == 12
    change_json(folder / file, **changes)
    with pytest.raises(Unsupported, match=rf"{file} states '{next(iter(changes))}': .* which is not supported"):
        load(folder)


@pytest.mark.parametrize(
    ("modality", "message"),
    [
        ({"message": {"method": "generate"}}, "states 'method': 'generate', .*; supported is 'forward'"),
        ({"image": {"method": "forward"}}, "states 'image': .*, which is not supported"),
        (
            {"message": {"method": "forward"}},
            "puts texts into a chat template, which feature-extraction does not offer",
        ),
    ],
)
def test_a_network_that_is_asked_otherwise_than_by_a_text(modality, message, tmp_path):
    folder = dense_on_tokens(tmp_path)
    change_json(folder / "sentence_bert_config.json", modality_config=modality)
    with pytest.raises(Unsupported, match=message):
        load(folder)


def test_a_network_that_lies_in_a_folder_of_its_own(tmp_path):
    folder = older_settings(tmp_path / "checkpoint")
    expected = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    before = load(folder)
    modules = json.loads((folder / "modules.json").read_text())
    kept = ("modules.json", "config_sentence_transformers.json")
    files = [file for file in folder.iterdir() if file.is_file() and file.name not in kept]
    modules[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "0_Transformer").mkdir()
    for file in files:
        file.rename(folder / "0_Transformer" / file.name)
    now = load(folder)
    assert (now.max_length, now.modules.transformer) == (before.max_length, before.modules.transformer)
    ours = answers(folder, tmp_path / "steps", text=TEXTS)["embedding"]
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("path", ["../elsewhere", "/elsewhere", 3])
def test_a_module_outside_the_checkpoint(path, tmp_path):
    folder = older_settings(tmp_path / "checkpoint")
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = path
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(CheckpointError, match=f"names the folder {path!r}; one within the checkpoint is expected"):
        load(folder)


def test_a_router_without_its_routes(folder):
    router = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.router.Router"}
    (folder / "modules.json").write_text(json.dumps([router]))
    with pytest.raises(CheckpointError, match=r"router_config\.json"):
        load(folder)
    (folder / "modules.json").write_text(json.dumps([router, router | {"path": "1_Router"}]))
    with pytest.raises(Unsupported, match="has a Router beside other modules, which is not supported"):
        load(folder)


def test_scores_before_a_pooling_are_refused_by_name(tmp_path):
    folder = dense_on_tokens(tmp_path)
    change_json(folder / "1_Dense/config.json", module_input_name="sentence_embedding", module_output_name="scores")
    with pytest.raises(Unsupported, match=r"modules\.json puts Pooling after Dense, which is not supported"):
        load(folder)


@pytest.mark.parametrize("network", ["MaskedLM", "PreTraining", "SequenceClassification", "QuestionAnswering"])
def test_the_head_of_another_task_is_passed_over(network, tmp_path):
    head = getattr(transformers, f"AutoModelFor{network}")
    folder = make_checkpoint(tmp_path / "checkpoint", network=head)
    add_tensors(folder, **{"bert.embeddings.position_ids": torch.arange(66)[None]})
    assert load(folder, task="feature-extraction").dimensions == 32


@pytest.mark.parametrize("name", ["linear.weight", "crf.transitions", "encoder.layer.0.adapter.down.weight"])
def test_a_tensor_that_no_head_of_the_family_has(name, folder):
    add_tensors(folder, **{name: torch.zeros(2, 2)})
    with pytest.raises(Unsupported, match=rf"have 1 tensors that neither BertModel .* such as {name}"):
        load(folder)
    assert name in load_file(folder / "model.safetensors")


def test_a_tokenizer_that_cuts_at_the_start(tmp_path):
    folder = older_settings(tmp_path / "checkpoint")
    change_json(folder / "tokenizer_config.json", truncation_side="left")
    assert options_of(load(folder))["truncate"]["default"] == "start"
    close(
        answers(folder, tmp_path, text=TEXTS)["embedding"], SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    )
    answering = make_checkpoint(tmp_path / "answering", network=transformers.AutoModelForQuestionAnswering)
    change_json(answering / "tokenizer_config.json", truncation_side="left")
    with pytest.raises(Unsupported, match="cuts at the start of a text"):
        load(answering)


def test_a_tokenizer_that_takes_special_tokens_apart(folder):
    change_json(folder / "tokenizer_config.json", split_special_tokens=True)
    with pytest.raises(Unsupported, match="says split_special_tokens, which is not supported"):
        load(folder)
