"""What is read of a GLiNER checkpoint, and what is refused by its name before anything is made."""

import json
import re

import pytest
import torch
from safetensors.torch import load_file, save_file

from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.config import Engine, ExportConfig
from encserve_export.engines.table import check_entities
from encserve_export.errors import CheckpointError, Unsupported
from encserve_export.network.sizes import sizes_of
from encserve_export.reference.networks.gliner import Gliner
from export.checkpoints.in_process import load
from export.test_inspect import said

from .checkpoints import ADDED, CLASSES, gliner


@pytest.mark.parametrize(("mode", "rows"), [("markerV0", 4), ("token_level", 3)])
def test_scores_of_a_token(tmp_path, mode, rows):
    checkpoint = load(gliner(tmp_path / "checkpoint", span_mode=mode))
    assert checkpoint.columns == {"logits": rows * 64}
    assert (sizes_of([checkpoint]).head > 0) == (mode == "token_level"), "pairs of a word and a label take memory"


def test_its_task_is_its_own(tmp_path):
    checkpoint = load(gliner(tmp_path / "checkpoint"))
    assert checkpoint.task.name == "zero-shot-token-classification"
    assert checkpoint.graph_inputs == ("input_ids", "lengths", "entity_roles")
    assert checkpoint.config.vocab_size == len(checkpoint.tokenizer)
    (marker,) = checkpoint.entity_settings["marker"]
    assert marker == len(checkpoint.tokenizer) - ADDED + 1
    assert checkpoint.max_length == 2 * 40 + 256


@pytest.mark.parametrize("body", CLASSES)
def test_the_tokenizers_that_are_compared_with_the_library_are_of_their_own_class(tmp_path, body):
    assert type(load(gliner(tmp_path / "checkpoint", body=body)).tokenizer).__name__ == CLASSES[body]


def test_keys_of_training_are_passed_over(tmp_path):
    """As published checkpoints have them."""
    stated = {"gpu": "a100", "run_time": "3:30:00", "scheduler_type": "cosine", "prev_path": "none", "log_dir": "logs"}
    assert load(gliner(tmp_path / "checkpoint", **stated)).entities is not None


def test_without_weights(tmp_path):
    folder = gliner(tmp_path / "checkpoint")
    (folder / "model.safetensors").unlink()
    asked = ExportConfig(checkpoint=str(folder), name="tiny")
    assert load_checkpoint(asked, weights=False).dimensions == 4 * 64


def test_a_pickle_is_read_as_tensors_where_it_is_allowed(tmp_path):
    folder = gliner(tmp_path / "checkpoint", pickled=True)
    with pytest.raises(CheckpointError, match="give --allow-pickle"):
        load(folder)
    read = load(folder, allow_pickle=True).entities.state_dict()
    other = load(gliner(tmp_path / "other")).entities.state_dict()
    assert all(torch.equal(read[name], other[name]) for name in other)


BI = {"labels_encoder": "BAAI/bge-small-en-v1.5"}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (
            {"model_type": "gliner_streaming_span"},
            "'gliner_streaming_span': a decoder that reads a text",
        ),
        ({"relations_layer": "biaffine"}, "relations_layer 'biaffine': a network that finds relations"),
        ({"triples_layer": "distmult"}, "triples_layer 'distmult': a network that finds relations"),
        *(
            ({"model_type": f"gliner_uni_encoder_{of}_relex"}, f"{of}_relex': a network that finds relations")
            for of in ("span", "token")
        ),
        ({"labels_decoder": "gpt2", **BI}, "labels_decoder 'gpt2': a network with a decoder that writes"),
        *(
            ({"model_type": f"gliner_uni_encoder_{of}_decoder"}, f"{of}_decoder': a network with a decoder")
            for of in ("span", "token")
        ),
        ({**BI, "post_fusion_schema": "l2l-l2t"}, "post_fusion_schema 'l2l-l2t': a poly-encoder"),
        (BI, "labels_encoder 'BAAI/bge-small-en-v1.5': a bi-encoder"),
        *(
            ({"model_type": f"gliner_bi_encoder_{of}"}, f"'gliner_bi_encoder_{of}': a bi-encoder")
            for of in ("span", "token")
        ),
        ({"span_encoder_config": {"model_type": "rnn"}}, ": a network with one more encoder before the spans"),
        *(
            ({"span_mode": mode}, f"span_mode '{mode}', which is not served")
            for mode in ("marker", "markerV1", "markerV2", "query", "mlp", "cat")
        ),
        *(
            ({"span_mode": f"conv_{way}"}, f"span_mode 'conv_{way}', which is not served")
            for way in ("conv", "max", "mean", "sum", "share")
        ),
        ({"span_mode": ["markerV0"]}, "span_mode ['markerV0'], which is not served"),
        (
            {"span_mode": "token_level", "model_type": "gliner_uni_encoder_span"},
            "model_type 'gliner_uni_encoder_span', which is not that of span_mode 'token_level'",
        ),
    ],
    ids=str,
)
def test_networks_that_are_not_served_are_refused_by_their_name(tmp_path, capsys, changes, named):
    """Those that GLiNER 0.2.29 knows, by an export and by `encserve inspect`."""
    folder = gliner(tmp_path / "checkpoint")
    stated = json.loads((folder / "gliner_config.json").read_text()) | changes
    (folder / "gliner_config.json").write_text(json.dumps(stated))
    instead = "Served are GLiNER's uni-encoders, which read the labels before the text, with span_mode 'markerV0' or"
    for ask in (load, lambda folder: said(capsys, folder)):
        with pytest.raises(Unsupported, match=f"{re.escape(named)}.*{re.escape(instead)}"):
            ask(folder)


def test_glirel_is_refused_by_its_name(tmp_path, capsys):
    (tmp_path / "glirel_config.json").write_text(json.dumps({"model_name": "microsoft/deberta-v3-large"}))
    for ask in (load, lambda folder: said(capsys, folder)):
        with pytest.raises(Unsupported, match=r"GLiREL, which finds relations. It is not served. Served are GL"):
            ask(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"span_mode": "token_level", "represent_spans": True}, "states 'represent_spans'"),
        *(
            ({"subtoken_pooling": way}, f"states 'subtoken_pooling': '{way}'.*supported is 'first'")
            for way in ("last", "mean", "max")
        ),
        *(
            ({"words_splitter_type": way}, f"states 'words_splitter_type': '{way}'.*supported is 'whitespace'")
            for way in ("universal", "spacy", "mecab", "jieba", "hanlp", "janome", "camel", "hindi", "stanza")
        ),
        ({"post_fusion_schema": "l2l-l2t"}, "states 'post_fusion_schema'"),
        ({"fuse_layers": True}, "states 'fuse_layers'"),
        ({"precomputed_prompts_mode": True}, "states 'precomputed_prompts_mode'"),
        ({"id_to_classes": {"1": "person"}}, "states 'id_to_classes'"),
        ({"something_new": 3}, "states 'something_new': 3"),
    ],
    ids=str,
)
def test_what_is_not_served_is_refused_by_its_name(tmp_path, changes, message):
    with pytest.raises(Unsupported, match=message):
        load(gliner(tmp_path / "checkpoint", **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_width": 0}, "states max_width 0; a whole number from 1 on"),
        ({"class_token_index": 7, "vocab_size": 345}, "which gliner_config.json names as one token, 7"),
    ],
)
def test_numbers_that_do_not_fit(tmp_path, changes, message):
    with pytest.raises(CheckpointError, match=message):
        load(gliner(tmp_path / "checkpoint", **changes))


@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("kind", ["t5", "qwen2"])
def test_encoders_of_another_kind_are_refused_by_their_name(tmp_path, kind, weights):
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2}
    others = {"d_model": 16, "d_kv": 8, "num_layers": 1, "num_heads": 2, "d_ff": 16, "intermediate_size": 16}
    folder = gliner(tmp_path / "checkpoint")
    stated = json.loads((folder / "gliner_config.json").read_text())
    body = {"model_type": kind, "vocab_size": 300, **({} if kind == "t5" else small), **others}
    (folder / "gliner_config.json").write_text(json.dumps(stated | {"encoder_config": body}))
    with pytest.raises(Unsupported, match=f"has an encoder of model type '{kind}'; of GLiNER those are served"):
        load_checkpoint(ExportConfig(checkpoint=str(folder), name="tiny"), weights=weights)


def test_an_encoder_is_no_folder_that_is_there_by_chance(tmp_path, monkeypatch):
    folder = gliner(tmp_path / "checkpoint")
    encoder = tmp_path / "organisation" / "encoder"
    encoder.mkdir(parents=True)
    stated = json.loads((folder / "gliner_config.json").read_text())
    (encoder / "config.json").write_text(json.dumps(stated.pop("encoder_config")))
    monkeypatch.chdir(tmp_path)
    (folder / "gliner_config.json").write_text(json.dumps(stated | {"model_name": "organisation/encoder"}))
    with pytest.raises(CheckpointError, match="names 'organisation/encoder' as its encoder, and where this runs"):
        load(folder)
    (folder / "gliner_config.json").write_text(json.dumps(stated | {"model_name": str(encoder)}))
    assert load(folder).config.model_type == "deberta-v2"


def test_code_that_a_tokenizer_or_an_encoder_names_is_not_run(tmp_path, monkeypatch):
    """transformers asks at a terminal whether to run it, where nobody told it not to."""
    monkeypatch.setattr("builtins.input", lambda *question: "y")
    own, named = gliner(tmp_path / "own"), gliner(tmp_path / "named")
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    (encoder / "config.json").write_text(
        json.dumps({"model_type": "foreign", "auto_map": {"AutoConfig": "foreign.Foreign"}})
    )
    for place in (own, encoder):
        (place / "foreign.py").write_text("raise SystemExit('it ran')")
    stated = json.loads((own / "tokenizer_config.json").read_text())
    stated |= {"tokenizer_class": "Foreign", "auto_map": {"AutoTokenizer": ["foreign.Foreign", "foreign.Foreign"]}}
    (own / "tokenizer_config.json").write_text(json.dumps(stated))
    stated = json.loads((named / "gliner_config.json").read_text()) | {"model_name": str(encoder)}
    del stated["encoder_config"]
    (named / "gliner_config.json").write_text(json.dumps(stated))
    for folder in (own, named):
        with pytest.raises(CheckpointError, match="trust_remote_code"):
            load(folder)
        with pytest.raises(ValueError, match="trust_remote_code"):
            Gliner(folder)


def test_a_tokenizer_that_cannot_be_read_is_of_the_checkpoint_or_of_its_base(tmp_path):
    base = tmp_path / "encoder"
    own, named = gliner(tmp_path / "own"), gliner(tmp_path / "named", base=base, model_name=str(base))
    for folder in (own, base):
        (folder / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match=f"the tokenizer of {own} cannot be loaded: "):
        load(own)
    with pytest.raises(CheckpointError, match=f"the tokenizer of {named} cannot be loaded from {base}, which its"):
        load(named)


def test_tensors_that_lack_or_are_too_many(tmp_path):
    folder = gliner(tmp_path / "checkpoint")
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"scorer.proj_token.bias": torch.zeros(3)}, folder / "model.safetensors")
    with pytest.raises(Unsupported, match=r"nothing reads, such as scorer\.proj_token\.bias"):
        load(folder)
    del tensors["rnn.lstm.bias_ih_l0_reverse"]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"lack 1 tensors .* such as rnn\.lstm\.bias_ih_l0_reverse"):
        load(folder)


def test_other_tasks_and_other_checkpoints(tmp_path):
    folder = gliner(tmp_path / "checkpoint")
    with pytest.raises(Unsupported, match=r"--task feature-extraction: .* served for zero-shot-token-classification"):
        load(folder, task="feature-extraction")
    stated = json.loads((folder / "gliner_config.json").read_text())
    (folder / "gliner_config.json").unlink()
    (folder / "config.json").write_text(json.dumps(stated["encoder_config"]))
    with pytest.raises(Unsupported, match=r"has no gliner_config\.json"):
        load(folder, task="zero-shot-token-classification")


def test_engines_that_do_not_serve_it(tmp_path):
    folder = gliner(tmp_path / "checkpoint")
    asked = ExportConfig(checkpoint=str(folder), name="tiny", engine=Engine.TENSORRT)
    with pytest.raises(Unsupported, match="--engine tensorrt is not served"):
        check_entities(asked, {"": load(folder)})
