"""Each family, exported whole, against sentence-transformers on texts of mixed lengths."""

import json

import numpy as np
import onnxruntime
import pytest
import torch

from encserve_export.checkpoint import load_checkpoint
from encserve_export.config import ExportConfig
from encserve_export.errors import Unsupported
from encserve_export.families import FAMILIES
from encserve_export.guard import check_texts_are_apart
from encserve_export.packed_graph import PackedEncoder, attention, write_graph
from encserve_export.packed_heads import packed_network
from encserve_export.reference import reference_vector

from .conftest import CONFIGS, make_checkpoint

PACKS = ([1], [1, 1], [7], [1, 64], [5] * 40, [3, 0, 9, 0], [33, 2, 17, 64, 8])


def load(folder, **config):
    return load_checkpoint(ExportConfig(checkpoint=str(folder), name="tiny", **config))


def test_every_family_is_tested():
    assert CONFIGS.keys() == FAMILIES.keys()


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_packed_network_agrees_with_each_text_alone(family, pooling, tmp_path):
    folder = make_checkpoint(
        tmp_path / "checkpoint",
        family,
        modules=[("Transformer", "", {"max_seq_length": 64}), ("Pooling", "1_Pooling", {"pooling_mode": pooling})],
    )
    checkpoint = load(folder)
    check_texts_are_apart(checkpoint)
    generator = torch.Generator().manual_seed(1)
    with attention(checkpoint.model, "packed"), torch.inference_mode():
        for lengths in PACKS:
            input_ids = torch.randint(5, 400, (sum(lengths),), generator=generator)
            vectors = PackedEncoder(checkpoint)(input_ids, torch.tensor(lengths))
            checkpoint.model.set_attn_implementation("eager")
            for row, ids in zip(vectors, input_ids.split(lengths), strict=True):
                if len(ids):
                    assert (row - reference_vector(checkpoint, ids.tolist())).abs().max() < 1e-4
            checkpoint.model.set_attn_implementation("packed")


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_graph_agrees_with_each_text_alone(family, tmp_path):
    checkpoint = load(make_checkpoint(tmp_path / "checkpoint", family), task="feature-extraction")
    write_graph(checkpoint, packed_network(checkpoint), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    assert [(value.name, value.shape, value.type) for value in session.get_inputs()] == [
        ("input_ids", ["tokens"], "tensor(int64)"),
        ("lengths", ["texts"], "tensor(int64)"),
    ]
    rng = np.random.default_rng(2)
    for lengths in PACKS:
        input_ids = rng.integers(5, 400, sum(lengths))
        (vectors,) = session.run(None, {"input_ids": input_ids, "lengths": np.array(lengths)})
        for row, ids in zip(vectors, np.split(input_ids, np.cumsum(lengths)[:-1]), strict=True):
            if len(ids):
                assert np.abs(row - reference_vector(checkpoint, ids.tolist()).numpy()).max() < 1e-4


def test_the_graph_names_no_file_of_the_machine_that_made_it(checkpoint_folder, tmp_path):
    checkpoint = load(checkpoint_folder)
    write_graph(checkpoint, packed_network(checkpoint), tmp_path / "model.onnx")
    assert b".py" not in (tmp_path / "model.onnx").read_bytes()


def test_guard_catches_texts_that_see_each_other(checkpoint_folder, monkeypatch):
    checkpoint = load(checkpoint_folder)

    def sees_everything(module, query, key, value, attention_mask, **kwargs):
        mixed = torch.nn.functional.scaled_dot_product_attention(query, key, value)
        return mixed.transpose(1, 2), None

    monkeypatch.setattr("encserve_export.guard.packed_attention", sees_everything)
    with pytest.raises(Unsupported, match=r"differs from each text alone: by .* allowed is 1e-03"):
        check_texts_are_apart(checkpoint)


def test_guard_counts_the_layers_that_attend_packed(checkpoint_folder):
    checkpoint = load(checkpoint_folder)
    checkpoint.config.num_hidden_layers = 3
    with pytest.raises(Unsupported, match="attended packed in 2 of its 3 layers"):
        check_texts_are_apart(checkpoint)


def test_guard_catches_wrong_positions(tmp_path):
    checkpoint = load(make_checkpoint(tmp_path / "checkpoint", "roberta"))
    object.__setattr__(checkpoint.family, "first_position", lambda config: 0)
    try:
        with pytest.raises(Unsupported, match="differs from each text alone"):
            check_texts_are_apart(checkpoint)
    finally:
        object.__setattr__(checkpoint.family, "first_position", lambda config: int(config.pad_token_id) + 1)


def test_an_unknown_family_is_refused_with_the_list(checkpoint_folder):
    config = json.loads((checkpoint_folder / "config.json").read_text())
    (checkpoint_folder / "config.json").write_text(json.dumps(config | {"model_type": "convbert"}))
    with pytest.raises(
        Unsupported, match="model type 'convbert' is not supported; supported are albert, bert, camembert"
    ):
        load(checkpoint_folder)
