"""What is read of the files of PEFT, beside what PEFT itself made of them; and what is refused by name."""

import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from encserve_export.adapters.lora import read_adapters
from encserve_export.config import Engine, ExportConfig, Precision, Runtime
from encserve_export.errors import CheckpointError, InvalidConfig, Unsupported
from encserve_export.reference.merging import merge

from .lora_files import write_adapter

BY_PEFT = Path(__file__).parents[2] / "golden" / "adapters"
"""Adapters as PEFT 0.21.2 saved them, and by how much `merge_and_unload` then changed each weight of the network."""
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
}


def network(kind=transformers.BertForSequenceClassification, **config):
    torch.manual_seed(0)
    return kind(transformers.BertConfig(vocab_size=40, num_labels=3, **SIZES | config)).requires_grad_(False)


@pytest.fixture
def bert():
    return network()


@pytest.mark.parametrize("name", ["plain", "rank_stabilised"])
def test_an_adapter_adds_what_peft_adds(name, bert):
    (adapter,) = read_adapters({name: str(BY_PEFT / name)}, bert, saves_heads=True)
    by_peft = load_file(BY_PEFT / name / "changed_by_peft.safetensors")
    assert {f"{module}.weight" for module in adapter.linear} == {*by_peft}
    for module, added in adapter.linear.items():
        torch.testing.assert_close(added.b @ added.a, by_peft[f"{module}.weight"], rtol=1e-4, atol=1e-6)
    assert adapter.record["rank"] == {"plain": 4, "rank_stabilised": 5}[name]


@pytest.mark.parametrize("name", ["plain", "rank_stabilised"])
def test_the_reference_changes_the_weights_as_peft_does(name, bert):
    before = {key: tensor.clone() for key, tensor in bert.state_dict().items()}
    merge(bert, BY_PEFT / name)
    changed = {key: tensor - before[key] for key, tensor in bert.state_dict().items()}
    for key, by_peft in load_file(BY_PEFT / name / "changed_by_peft.safetensors").items():
        torch.testing.assert_close(changed.pop(key), by_peft, rtol=1e-4, atol=1e-6)
    own = ("classifier.weight", "classifier.bias") if name == "plain" else ()
    saved = load_file(BY_PEFT / name / "adapter_model.safetensors")
    for key in own:
        assert torch.equal(bert.state_dict()[key], saved[f"base_model.model.{key}"])
    assert not any(difference.any() for key, difference in changed.items() if key not in own)


def test_an_adapter_of_the_encoder_fits_the_network_with_a_head_and_the_other_way_round(bert, tmp_path):
    of_encoder = write_adapter(tmp_path / "encoder", bert.base_model)
    of_whole = write_adapter(tmp_path / "whole", bert)
    encoder = network(transformers.BertModel)
    names = {"encoder.layer.0.attention.self.query", "encoder.layer.0.attention.self.value"}
    for folder in (of_encoder, of_whole):
        (whole,) = read_adapters({"a": str(folder)}, bert, saves_heads=True)
        (bare,) = read_adapters({"a": str(folder)}, encoder, saves_heads=False)
        assert ({*whole.linear}, {*bare.linear}) == ({f"bert.{name}" for name in names}, names)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"use_dora": True}, "use_dora = True"),
        ({"bias": "all"}, "bias is 'all'"),
        ({"bias": "lora_only"}, "bias is 'lora_only'"),
        ({"lora_bias": True}, "lora_bias = True"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out = True"),
        ({"alpha_pattern": {"query": 3}}, "alpha_pattern"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights is 'pissa'"),
        ({"peft_type": "LOHA"}, "peft_type is 'LOHA'"),
        ({"layer_replication": [[0, 1]]}, "layer_replication"),
        ({"what_comes_next_year": 1}, "what_comes_next_year = 1"),
    ],
)
def test_what_is_not_served_is_refused_by_name(config, named, bert, tmp_path):
    folder = write_adapter(tmp_path / "adapter", bert, **config)
    with pytest.raises(Unsupported, match=f"--adapter legal: .*{named}"):
        read_adapters({"legal": str(folder)}, bert, saves_heads=True)


def test_other_kinds_of_adapters_have_no_rank_and_are_refused_all_the_same(bert, tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "PREFIX_TUNING"}))
    with pytest.raises(Unsupported, match="peft_type is 'PREFIX_TUNING'"):
        read_adapters({"a": str(tmp_path)}, bert, saves_heads=True)


def _changed(folder, change):
    tensors = load_file(folder / "adapter_model.safetensors")
    change(tensors)
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


QUERY = "base_model.model.bert.encoder.layer.0.attention.self.query"
WORDS, PLACES = (f"base_model.model.bert.embeddings.{name}" for name in ("word_embeddings", "position_embeddings"))


@pytest.mark.parametrize(
    ("change", "kind", "named"),
    [
        (lambda t: t.pop(f"{QUERY}.lora_B.weight"), CheckpointError, "query has lora_A.weight and no lora_B.weight"),
        (lambda t: t.pop(f"{QUERY}.lora_A.weight"), Unsupported, "query.lora_B.weight, which is not served"),
        (
            lambda t: t.update({f"{QUERY}.lora_A.weight": torch.zeros(5, 16)}),
            CheckpointError,
            r"query have the shapes \[5, 16\] and \[16, 4\]; \[4, 16\] and \[16, 4\] are expected",
        ),
        (
            lambda t: t.update({"base_model.model.bert.other.lora_A.weight": torch.zeros(4, 16)}),
            CheckpointError,
            "no module bert.other",
        ),
        (
            lambda t: t.update({f"{QUERY}.lora_magnitude_vector": torch.zeros(16)}),
            Unsupported,
            "lora_magnitude_vector, which is not served",
        ),
        (
            lambda t: t.update({f"{PLACES}.lora_embedding_A": torch.zeros(4, 20)}),
            Unsupported,
            "position_embeddings.lora_embedding_A is not served: of tables only those of the tokens",
        ),
        (
            lambda t: t.update({f"{WORDS}.lora_embedding_A": torch.zeros(4, 40)}),
            CheckpointError,
            "word_embeddings has lora_embedding_A and no lora_embedding_B",
        ),
        (
            lambda t: t.update(
                {f"{WORDS}.lora_embedding_A": torch.zeros(4, 39), f"{WORDS}.lora_embedding_B": torch.zeros(16, 4)}
            ),
            CheckpointError,
            r"word_embeddings have the shapes \[4, 39\] and \[16, 4\]; \[4, 40\] and \[16, 4\] are expected",
        ),
        (
            lambda t: t.update({f"{WORDS}.lora_embedding_B": torch.zeros(16, 4)}),
            Unsupported,
            "lora_embedding_B, which is not served",
        ),
        (
            lambda t: t.update({"base_model.model.bert.embeddings.LayerNorm.weight": torch.zeros(16)}),
            Unsupported,
            "LayerNorm.weight, which is not served: .* the modules of the head, classifier",
        ),
        (
            lambda t: t.update({"base_model.model.classifier.weight": torch.zeros(2, 16)}),
            CheckpointError,
            "classifier of the adapter and of the checkpoint differ by bias",
        ),
        (
            lambda t: t.update(
                {
                    "base_model.model.classifier.weight": torch.zeros(2, 16),
                    "base_model.model.classifier.bias": torch.zeros(2),
                }
            ),
            CheckpointError,
            r"classifier.bias has the shape \[2\], and the checkpoint's \[3\]",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_refused_by_name(change, kind, named, bert, tmp_path):
    folder = _changed(write_adapter(tmp_path / "adapter", bert), change)
    with pytest.raises(kind, match=named):
        read_adapters({"a": str(folder)}, bert, saves_heads=True)


def test_a_table_that_the_last_layer_has_too_is_not_adapted(bert, tmp_path):
    folder = write_adapter(tmp_path / "adapter", bert, tables=("word_embeddings",))
    (read,) = read_adapters({"a": str(folder)}, bert, saves_heads=True)
    assert [*read.tables] == ["bert.embeddings.word_embeddings"]
    with pytest.raises(Unsupported, match="not served for BertForMaskedLM, whose last layer has the same matrix"):
        read_adapters({"a": str(folder)}, network(transformers.BertForMaskedLM), saves_heads=False)


def test_only_heads_that_answer_may_be_brought(bert, tmp_path):
    folder = write_adapter(tmp_path / "adapter", bert, heads=("classifier",))
    with pytest.raises(Unsupported, match=r"classifier\.bias, which is not served: .* nothing for this task"):
        read_adapters({"a": str(folder)}, network(transformers.BertModel), saves_heads=False)
    (read,) = read_adapters({"a": str(folder)}, bert, saves_heads=True)
    assert {*read.heads["classifier"]} == {"weight", "bias"}


def test_a_head_is_brought_whole_or_adapted_and_not_both(bert, tmp_path):
    brings = write_adapter(tmp_path / "brings", bert, heads=("classifier",))
    adapts = write_adapter(tmp_path / "adapts", bert, targets=("classifier",))
    with pytest.raises(Unsupported, match="--adapter b: it adapts classifier, which is part of a head"):
        read_adapters({"a": str(brings), "b": str(adapts)}, bert, saves_heads=True)


def test_files_that_are_missing_are_named(bert, tmp_path):
    with pytest.raises(CheckpointError, match="nowhere is no folder"):
        read_adapters({"a": str(tmp_path / "nowhere")}, bert, saves_heads=True)
    with pytest.raises(CheckpointError, match=r"has no adapter_config\.json"):
        read_adapters({"a": str(tmp_path)}, bert, saves_heads=True)
    folder = write_adapter(tmp_path / "adapter", bert)
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(CheckpointError, match=r"no adapter_model\.safetensors; adapter_model\.bin is a pickle"):
        read_adapters({"a": str(folder)}, bert, saves_heads=True)
    (folder / "adapter_model.safetensors").write_bytes(b"\0" * 20)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_adapters({"a": str(folder)}, bert, saves_heads=True)


def test_more_ranks_than_are_worth_it_are_refused(bert, tmp_path):
    folders = {
        f"a{number}": str(write_adapter(tmp_path / str(number), bert, rank=40, targets=("value",)))
        for number in range(4)
    }
    with pytest.raises(Unsupported, match=r"self\.value have ranks of 160 together; 128 are the most"):
        read_adapters(folders, bert, saves_heads=True)
    assert len(read_adapters(dict([*folders.items()][:3]), bert, saves_heads=True)) == 3


def test_families_whose_layers_see_other_rows_are_refused(tmp_path):
    model = transformers.AlbertModel(transformers.AlbertConfig(vocab_size=40, embedding_size=8, **SIZES))
    with pytest.raises(Unsupported, match="model type 'albert', only for bert, camembert"):
        read_adapters({"a": str(tmp_path)}, model, saves_heads=False)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"adapters": {"none": "a"}}, "'none' is what requests call"),
        ({"adapters": {"[a]": "a"}}, r"--adapter '\[a\]'"),
        ({"adapters": {"a": "a"}, "heads": {"b": "b"}}, "--adapter and --head"),
        ({"adapters": {"a": "a"}, "precision": Precision.INT8}, "--precision fp32 alone"),
        ({"adapters": {"a": "a"}, "precision": None}, "--precision fp32 alone"),
        ({"adapters": {"a": "a"}, "engine": Engine.ONNXRUNTIME}, "by --engine python"),
        ({"adapters": {"a": "a"}, "runtime": Runtime.OPENVINO}, "--runtime onnxruntime"),
    ],
)
def test_exports_that_cannot_be_are_refused_before_anything_is_done(asked, named):
    with pytest.raises(InvalidConfig, match=named):
        ExportConfig(checkpoint="x", name="tiny", **asked)
