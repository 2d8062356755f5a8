import json
import re
import shutil

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.checkpoint.source import weights_digest
from encserve_export.config import ExportConfig
from encserve_export.errors import CheckpointError, InvalidConfig, Unsupported
from encserve_export.publication.request_options import options_of
from export.small_checkpoints import make_checkpoint

MEAN = ("Pooling", "1_Pooling", {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False})
TRANSFORMER = ("Transformer", "", {"max_seq_length": 20})


def load(folder, **config):
    return load_checkpoint(ExportConfig(checkpoint=str(folder), name="tiny", **config))


def change_json(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_defaults_without_sentence_transformers_files(checkpoint_folder):
    checkpoint = load(checkpoint_folder)
    assert checkpoint.task.name == "feature-extraction"
    assert (checkpoint.modules.pooling, checkpoint.modules.normalize) == ("mean", False)
    assert (checkpoint.max_length, checkpoint.dimensions) == (64, 32)


def test_sentence_transformers_files_are_read(tmp_path):
    folder = make_checkpoint(
        tmp_path / "checkpoint",
        modules=[
            TRANSFORMER,
            ("Pooling", "1_Pooling", {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}),
            ("Dense", "2_Dense", {"in_features": 32, "out_features": 12, "bias": True}),
            ("Normalize", "3_Normalize", {}),
        ],
    )
    save_file(
        {"linear.weight": torch.ones(12, 32), "linear.bias": torch.zeros(12)}, folder / "2_Dense/model.safetensors"
    )
    (folder / "config_sentence_transformers.json").write_text(
        json.dumps({"prompts": {"query": "query: ", "document": ""}, "default_prompt_name": "query"})
    )
    checkpoint = load(folder)
    assert (checkpoint.modules.pooling, checkpoint.modules.normalize) == ("cls", True)
    assert (checkpoint.max_length, checkpoint.dimensions) == (20, 12)
    assert (checkpoint.modules.prompts, checkpoint.modules.default_prompt_name) == ({"query": "query: "}, "query")


CARD = """\
* Loss: [<code>MatryoshkaLoss</code>](https://sbert.net/) with these parameters:
  ```json
  {
      "loss": "MultipleNegativesRankingLoss",
      "matryoshka_dims": [
          32,
          16,
          8
      ],
      "n_dims_per_step": -1
  }
  ```
"""


def test_the_lengths_that_a_model_was_trained_for(checkpoint_folder):
    assert load(checkpoint_folder).trained_dimensions == ()
    whole = {"kind": "whole", "default": None, "least": 1, "most": 32}
    assert options_of(load(checkpoint_folder))["dimensions"] == whole
    (checkpoint_folder / "README.md").write_text(CARD)
    assert load(checkpoint_folder).trained_dimensions == (8, 16, 32)
    trained = {"kind": "trained", "default": None, "allowed": [8, 16, 32]}
    assert options_of(load(checkpoint_folder))["dimensions"] == trained
    change_json(checkpoint_folder / "config.json", matryoshka_dimensions=[24, 4, 64])
    assert load(checkpoint_folder).trained_dimensions == (4, 24, 64)
    assert options_of(load(checkpoint_folder))["dimensions"]["allowed"] == [4, 24, 32]
    change_json(checkpoint_folder / "config.json", matryoshka_dimensions=["8"])
    with pytest.raises(CheckpointError, match=r"matryoshka_dimensions in .* is \['8'\]; a list of positive whole"):
        load(checkpoint_folder)


def test_max_length_asked_for_wins_within_the_reach_of_the_positions(checkpoint_folder):
    assert load(checkpoint_folder, max_length=10).max_length == 10
    with pytest.raises(InvalidConfig, match="--max-length 67: the network takes 66 tokens at most"):
        load(checkpoint_folder, max_length=67)


def test_roberta_positions_begin_after_the_padding_id(tmp_path):
    with pytest.raises(InvalidConfig, match="takes 65 tokens at most"):
        load(make_checkpoint(tmp_path / "checkpoint", "roberta"), max_length=66)


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ([TRANSFORMER, ("WordWeights", "1_WordWeights", {})], "sentence-transformers module WordWeights of "),
        (
            [TRANSFORMER, ("Pooling", "1_Pooling", {"pooling_mode_median_tokens": True})],
            "pooling pooling_mode_median_tokens is not supported; supported are cls, lasttoken, max, mean",
        ),
        (
            [TRANSFORMER, ("Pooling", "1_Pooling", {"pooling_mode": ["cls", "mean"]})],
            "pooling cls, mean is not supported",
        ),
        (
            [TRANSFORMER, ("Pooling", "1_Pooling", {"pooling_mode": "cls", "include_prompt": False})],
            r"the pooling cls of .* leaves out the prompt \(include_prompt=false\), which is supported for mean and",
        ),
        ([TRANSFORMER, MEAN, ("Normalize", "2_Normalize", {}), ("Dense", "3_Dense", {})], "puts Dense after Normalize"),
    ],
)
def test_modules_that_are_not_offered_are_refused_by_name(modules, message, tmp_path):
    folder = make_checkpoint(tmp_path / "checkpoint", modules=modules)
    with pytest.raises(Unsupported, match=message):
        load(folder)


@pytest.mark.parametrize("mistyped", ["./absent", "../absent", "models/absent.", "absent"])
def test_a_folder_that_is_not_there_is_asked_of_no_hub(mistyped):
    with pytest.raises(CheckpointError, match=f"^{re.escape(mistyped)} is neither a folder nor a hub id"):
        load(mistyped)


def test_a_folder_without_config_or_weights_or_at_all(checkpoint_folder, tmp_path):
    with pytest.raises(CheckpointError, match="is neither a folder nor a hub id"):
        load(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"empty has no config\.json"):
        load(tmp_path / "empty")
    (checkpoint_folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"has no weights: none of model\.safetensors"):
        load(checkpoint_folder)


def test_a_pickle_is_refused_unless_allowed(checkpoint_folder):
    torch.save(load_file(checkpoint_folder / "model.safetensors"), checkpoint_folder / "pytorch_model.bin")
    (checkpoint_folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="are a pickle, which can run code"):
        load(checkpoint_folder)
    assert load(checkpoint_folder, allow_pickle=True).dimensions == 32


def test_damaged_weights_are_named(checkpoint_folder):
    weights = checkpoint_folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"the weights of .* cannot be loaded"):
        load(checkpoint_folder)


def test_missing_tensors_are_not_filled_with_random_numbers(checkpoint_folder):
    weights = load_file(checkpoint_folder / "model.safetensors")
    del weights["encoder.layer.0.output.dense.weight"]
    save_file(weights, checkpoint_folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        CheckpointError,
        match=r"lack 1 tensors .* such as encoder\.layer\.0\.output\.dense\.weight",
    ):
        load(checkpoint_folder)


def test_a_tokenizer_of_another_vocabulary_is_refused(checkpoint_folder):
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint_folder)
    tokenizer.add_tokens([f"added{number}" for number in range(50)])
    tokenizer.save_pretrained(checkpoint_folder)
    with pytest.raises(CheckpointError, match=r"the tokenizer of .* knows .* tokens, the network only"):
        load(checkpoint_folder)


def test_a_task_that_is_not_offered_says_what_is(checkpoint_folder):
    change_json(checkpoint_folder / "config.json", architectures=["BertForMultipleChoice"])
    with pytest.raises(
        Unsupported, match=r"task multiple-choice \(from architecture BertForMultipleChoice\) is not supported"
    ):
        load(checkpoint_folder)
    assert load(checkpoint_folder, task="sentence-similarity").task.name == "feature-extraction"
    with pytest.raises(Unsupported, match="'bert' has no decoder, which text2text-generation needs"):
        load(checkpoint_folder, task="translation")


def test_a_checkpoint_that_does_not_say_its_task(checkpoint_folder):
    change_json(checkpoint_folder / "config.json", architectures=None)
    with pytest.raises(Unsupported, match="does not say what the checkpoint was trained for; give --task"):
        load(checkpoint_folder)


@pytest.mark.parametrize("name", ["", "a/b", "../x", "-x", "x_encode", "x_tokenize", "x_head", "a b"])
def test_names_that_triton_or_a_file_system_would_trip_over(name):
    with pytest.raises(InvalidConfig, match="--name"):
        ExportConfig(checkpoint="x", name=name)


def test_a_revision_of_a_local_folder(checkpoint_folder):
    with pytest.raises(InvalidConfig, match=r"--revision main: .* is a local folder"):
        load(checkpoint_folder, revision="main")


def test_the_weights_of_a_folder_are_told_apart_and_what_stands_beside_them_is_not(tmp_path):
    def digest(**files):
        folder = tmp_path / "best"
        shutil.rmtree(folder, ignore_errors=True)
        for name, content in files.items():
            path = folder / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return weights_digest(folder)

    own = digest(model_safetensors="a", config_json="{}")
    assert digest(model_safetensors="a", config_json="{ }") == own
    assert digest(model_safetensors="b", config_json="{}") != own
    assert digest(model_safetensors="a", dense__model_safetensors="c") != own
