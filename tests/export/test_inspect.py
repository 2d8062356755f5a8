"""`encserve inspect`: what it says of checkpoints, and what it refuses, as an export would."""

import argparse
import json

import pytest
import transformers
from huggingface_hub.utils import filter_repo_objects
from safetensors.torch import load_file, save_file

from encserve_export.checkpoint import source
from encserve_export.commands import inspect_command
from encserve_export.errors import CheckpointError, InvalidConfig, Unsupported

from .checkpoints.pooled_prompts import pooled
from .families.checkpoints import CASES, write_checkpoint
from .rerankers.checkpoints import PROMPTS, write_reranker
from .rerankers.modular import modular
from .small_checkpoints import make_checkpoint, write_modules
from .sparse.routers import routed


def said(capsys, *arguments):
    parser = argparse.ArgumentParser()
    inspect_command.add_arguments(parser)
    assert inspect_command.run(parser.parse_args([*map(str, arguments), "--json"])) == 0
    return json.loads(capsys.readouterr().out)


def test_an_embedding_model(tmp_path, capsys):
    write_checkpoint(tmp_path, "qwen3", max_length=40)
    modules = [("Transformer", "", {}), ("Pooling", "1_Pooling", {"pooling_mode_lasttoken": True})]
    write_modules(tmp_path, [*modules, ("Normalize", "2_Normalize", {})], 32)
    found = said(capsys, tmp_path)
    parameters = sum(each.size for each in load_numpy(tmp_path).values())
    assert (
        found.items()
        >= {
            "task": "feature-extraction",
            "family": "qwen3",
            "attention": "packed, to what stands before",
            "pooling": "lasttoken",
            "normalized": True,
            "dimensions": 32,
            "max_length": 40,
            "parameters": parameters,
            "fp32_bytes": 4 * parameters,
            "weights": "read: the network takes all of them",
        }.items()
    )


def load_numpy(folder):
    return {name: tensor.numpy() for name, tensor in load_file(folder / "model.safetensors").items()}


@pytest.mark.parametrize("case", CASES)
def test_without_weights_it_says_the_same(case, tmp_path, capsys):
    folder = write_checkpoint(tmp_path, case)
    with_them, without = (
        said(capsys, folder, "--task", "token-embedding", flag) for flag in ("--weights", "--no-weights")
    )
    assert without.pop("weights") == "not looked at"
    assert with_them.pop("weights") != "not looked at"
    assert without == with_them


def test_a_reranker_that_is_asked_in_words(tmp_path, capsys):
    folder = write_reranker(tmp_path, score={"true_token_id": 40}, settings={"prompts": PROMPTS})
    (folder / "model.safetensors").unlink()
    found = said(capsys, folder, "--no-weights")
    assert found["template"] == "<s>Is it apt?\nquery: QUERY\ndocument: DOCUMENT</s>\nso: <s>"
    assert found.items() >= {"task": "text-ranking", "reads": "pairs of texts", "prompts": PROMPTS}.items()
    with pytest.raises(CheckpointError, match="has no weights"):
        said(capsys, folder)


def test_a_sparse_encoder_whose_queries_a_table_answers(tmp_path, capsys):
    found = said(capsys, routed(tmp_path, prompts={"query": "find: "}))
    assert found["task"] == "sparse-embedding"
    assert found["queries"]["answered_by"].startswith("a table of ")
    assert found["queries"]["max_length"] == 64
    assert found["prompts_by_default"] == {"query": "query", "document": ""}
    assert found["without_input_type"] == "document"


def test_a_cross_encoder_of_modules_and_a_pooling_without_the_prompt(tmp_path, capsys):
    found = said(capsys, modular(tmp_path / "modular"))
    assert (found["task"], found["pooling"], found["dense_layers"], found["dimensions"]) == (
        "text-ranking",
        "cls",
        3,
        1,
    )
    assert "without those of its prompt" in said(capsys, pooled(tmp_path / "pooled"))["pools"]


def test_lines_for_people(tmp_path, capsys):
    parser = argparse.ArgumentParser()
    inspect_command.add_arguments(parser)
    folder = make_checkpoint(
        tmp_path, network=transformers.AutoModelForSequenceClassification, id2label={0: "calm", 1: "größer"}
    )
    inspect_command.run(parser.parse_args([str(folder)]))
    lines = capsys.readouterr().out.splitlines()
    assert "task        text-classification" in lines
    assert 'labels      ["calm", "größer"]' in lines


@pytest.mark.parametrize("flag", ["--weights", "--no-weights"])
def test_what_an_export_refuses_is_refused(flag, tmp_path, capsys):
    folder = make_checkpoint(tmp_path)
    with pytest.raises(InvalidConfig, match="--max-length 99999"):
        said(capsys, folder, flag, "--max-length", 99_999)
    stated = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(stated | {"rotary_value_scale": 2}))
    with pytest.raises(Unsupported, match="states 'rotary_value_scale': 2"):
        said(capsys, folder, flag)


def test_a_tensor_that_nothing_reads_is_seen_in_the_weights(tmp_path, capsys):
    folder = make_checkpoint(tmp_path)
    weights = load_file(folder / "model.safetensors")
    weights["gate.weight"] = weights["embeddings.LayerNorm.weight"].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(Unsupported, match=r"such as gate\.weight"):
        said(capsys, folder, "--task", "feature-extraction")
    assert said(capsys, folder, "--task", "feature-extraction", "--no-weights")["weights"] == "not looked at"


def test_of_a_hub_id_no_weights_of_the_network_are_downloaded(tmp_path, capsys, monkeypatch):
    folder = make_checkpoint(tmp_path / "snapshots" / "0123abc")
    asked = []

    left_out = []

    def download(repository, *, revision, allow_patterns, ignore_patterns):
        asked.append((repository, revision, allow_patterns))
        left_out.append(ignore_patterns)
        return str(folder)

    monkeypatch.setattr(source, "snapshot_download", download)
    found = said(capsys, "somebody/model", "--task", "feature-extraction", "--revision", "0123abc")
    assert (found["checkpoint"], found["revision"], found["weights"]) == ("somebody/model", "0123abc", "not looked at")
    said(capsys, "somebody/model", "--task", "feature-extraction", "--weights")
    (without, with_them) = (patterns for *_, patterns in asked)
    assert "*.safetensors" in with_them
    assert "*.safetensors" not in without
    kept, large = "2_Dense/model.safetensors", ("0_Transformer/model.safetensors", "tasks/a/adapter_model.safetensors")
    files = [kept, *large, "checkpoint-500/model.safetensors"]
    assert [*filter_repo_objects(files, allow_patterns=without, ignore_patterns=left_out[0])] == [kept]
    assert [*filter_repo_objects(files, allow_patterns=with_them, ignore_patterns=left_out[1])] == files
    assert {"*/*.safetensors", "*.jinja", "*.json"} <= set(without)
    said(capsys, "somebody/model", "--task", "feature-extraction", "--allow-pickle")
    pickles = {pattern for pattern in asked[-1][2] if pattern.endswith(".bin")}
    assert pickles == {"*/pytorch_model.bin"}, "those of layers, which are read, and none of the network"


@pytest.mark.parametrize("flag", ["--weights", "--no-weights"])
def test_a_checkpoint_that_generates(flag, tmp_path, capsys):
    folder = write_checkpoint(
        tmp_path,
        "t5",
        network=transformers.AutoModelForSeq2SeqLM,
        decoder_start_token_id=0,
        task_specific_params={"summarization": {"prefix": "summarize: "}},
    )
    found = said(capsys, folder, flag)
    assert (found["task"], found["prompts"]) == ("text2text-generation", {"summarization": "summarize: "})
    assert "dimensions" not in found
    file = folder / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"num_beam_groups": 4}))
    with pytest.raises(Unsupported, match="says num_beam_groups 4"):
        said(capsys, folder, flag)


@pytest.mark.parametrize("file", ["config.json", "modules.json", "1_Pooling/config.json"])
def test_a_file_that_holds_something_else_than_an_object(file, tmp_path, capsys):
    folder = make_checkpoint(tmp_path)
    write_modules(folder, [("Transformer", "", {}), ("Pooling", "1_Pooling", {"pooling_mode": "mean"})], 32)
    (folder / file).write_text('["bert"]')
    with pytest.raises(CheckpointError, match=r"json holds .*bert.* where a JSON object is expected"):
        said(capsys, folder)
