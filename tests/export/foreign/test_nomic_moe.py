"""Nomic BERT with experts: what its published code computes, through the network that encserve wrote down of it."""

import json

import numpy as np
import pytest
import torch

from encserve_export.checkpoint.foreign.nomic_moe import in_terms_of_nomic_moe
from encserve_export.config import Engine, ExportConfig, Precision
from encserve_export.errors import CheckpointError, Unsupported
from encserve_export.export import export
from encserve_local import Encoder
from encserve_server.steps.encode.host.cpu_flags import BF16, lacks, read_cpu_flags
from export.checkpoints.in_process import answers, load
from export.checkpoints.test_misread_layouts import TEXTS
from export.small_checkpoints import make_checkpoint, write_modules

from .moe_network import CONFIG, chosen_by, states_of, write_moe
from .test_gte_new import ids_of

WITHOUT_BF16 = bool(lacks(read_cpu_flags(), BF16))
MEAN = [
    ("Transformer", "", {"max_seq_length": 64}),
    ("Pooling", "1_Pooling", {"pooling_mode_mean_tokens": True}),
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("distilbert"), "distilbert")


def vectors_of(tensors, config, tokenizer):
    return np.stack([states_of(tensors, config, ids_of(tokenizer, text)).mean(0).numpy() for text in TEXTS])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_experts": 3, "moe_top_k": 1, "moe_every_n_layers": 3, "n_layer": 5, "rotary_emb_base": 500},
        {"qkv_proj_bias": False, "mlp_fc1_bias": False, "mlp_fc2_bias": False},
    ],
)
def test_vectors_are_those_of_the_published_code(changes, tokenizer, tmp_path):
    tensors, config = write_moe(tmp_path / "moe", tokenizer, **changes)
    write_modules(tmp_path / "moe", MEAN, 32)
    ours = answers(tmp_path / "moe", tmp_path, {"normalize": False}, text=TEXTS)["embedding"]
    expected = vectors_of(tensors, config, tokenizer)
    assert np.ptp(expected[:, 0]) > 0.01
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)


def test_texts_choose_different_experts(tokenizer, tmp_path):
    """Else the test above would not see who was chosen."""
    tensors, config = write_moe(tmp_path / "moe", tokenizer)
    states = [token for text in TEXTS for token in states_of(tensors, config | {"n_layer": 1}, ids_of(tokenizer, text))]
    chosen = {chosen_by(tensors, "encoder.layers.1.mlp", token, 1)[0][1] for token in states}
    assert len(chosen) >= 4


def test_what_an_expert_that_was_not_chosen_makes_is_nothing(tokenizer, tmp_path):
    """Not even where that is no number: it never saw such tokens in training."""
    write_moe(tmp_path / "moe", tokenizer)
    layer = load(tmp_path / "moe", task="feature-extraction").model.layers[1].mlp
    states = torch.randn(1, 6, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        shares, before = layer.shares(states), layer(states)
        assert torch.equal((shares > 0).sum(-1), torch.full((1, 6), 2))
        unchosen = next(number for number in range(8) if not shares[0, 0, number])
        layer.experts[unchosen].w2.fill_(torch.inf)
        assert torch.equal(layer(states)[0, 0], before[0, 0])
        assert not layer(states)[shares[..., unchosen] > 0].isfinite().any()


@pytest.mark.slow
def test_an_export_is_certified(tokenizer, tmp_path):
    """Packed, beside the same network text by text in the library's process; and beside the published code."""
    tensors, config = write_moe(tmp_path / "moe", tokenizer)
    write_modules(tmp_path / "moe", MEAN, 32)
    repository = tmp_path / "repository"
    manifest = export(ExportConfig(checkpoint=str(tmp_path / "moe"), name="tiny", repository=repository))
    assert manifest.parity["library"].endswith("around encserve's own network for nomic_bert_moe")
    with Encoder(repository, "tiny") as encoder:
        vectors = encoder.embed(TEXTS).vectors
        alone = np.concatenate([encoder.embed([text]).vectors for text in TEXTS])
    np.testing.assert_allclose(vectors, vectors_of(tensors, config, tokenizer), rtol=0, atol=1e-5)
    np.testing.assert_allclose(vectors, alone, rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "engine", "limits"),
    [
        (Precision.INT8, Engine.PYTHON, {}),
        pytest.param(
            Precision.BF16, Engine.PYTHON, {}, marks=pytest.mark.skipif(bool(WITHOUT_BF16), reason="no bf16 here")
        ),
        (Precision.FP16, Engine.ONNXRUNTIME, {"cosine_min": 0.999, "max_abs_diff": 0.1}),
    ],
)
def test_an_export_is_certified_in(precision, engine, limits, tokenizer, tmp_path):
    """The router is as sure as a trained one: random ones are of two minds, and rounding decides. Of vectors of 32
    numbers others are soon nearer."""
    write_moe(tmp_path / "moe", tokenizer, sure=4)
    write_modules(tmp_path / "moe", MEAN, 32)
    asked = ExportConfig(
        checkpoint=str(tmp_path / "moe"),
        name="tiny",
        repository=tmp_path / "repository",
        precision=precision,
        engine=engine,
        limits={"neighbours": 0.9, **limits},
    )
    figures = export(asked).parity["figures"]
    assert 1e-6 < figures["max_abs_diff"]["measured"] < 0.2
    assert figures["cosine_mean"]["measured"] > 0.999


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activation_function": "swiglu"}, "states 'activation_function': 'swiglu' beside experts"),
        ({"expert_choice_router": True}, "states 'expert_choice_router': True"),
        ({"moe_normalize_expert_weights": True}, "states 'moe_normalize_expert_weights': True"),
        ({"num_shared_experts": 1}, "states 'num_shared_experts': 1"),
        ({"rotary_scaling_factor": 2}, "states 'rotary_scaling_factor': 2"),
        ({"prenorm": True}, "states 'prenorm': True"),
        ({"moe_every_n_layers": 1}, "states moe_every_n_layers: 1"),
        ({"moe_top_k": 9}, "moe_top_k: 9"),
        ({"moe_top_k": None}, "lacks moe_every_n_layers, num_experts or moe_top_k"),
        ({"n_embd": 32, "hidden_size": 48}, "states n_embd and hidden_size with different values"),
        ({"n_embd": None}, "lacks n_embd"),
        ({"n_layer": "2"}, r"states n_layer: '2', which is no integer above 0"),
        ({"n_head": 2.5}, r"states n_head: 2\.5, which is no integer above 0"),
        ({"n_positions": 0}, "states n_positions: 0, which is no integer above 0"),
        ({"layer_norm_epsilon": True}, "states layer_norm_epsilon: True, which is no number above 0"),
        ({"architectures": ["NomicBertForSequenceClassification"]}, "'NomicBertForSequenceClassification' beside"),
        ({"something_else": 2}, "states 'something_else': 2"),
    ],
)
def test_what_it_does_not_do(changes, message, tokenizer, tmp_path):
    write_moe(tmp_path / "moe", tokenizer)
    (tmp_path / "moe/config.json").write_text(json.dumps(CONFIG | {"vocab_size": 400} | changes))
    with pytest.raises((CheckpointError, Unsupported), match=message):
        load(tmp_path / "moe", task="feature-extraction")


def test_an_inner_size_that_is_not_stated_is_four_times_the_width(tmp_path):
    assert in_terms_of_nomic_moe(tmp_path, CONFIG | {"n_inner": None})["intermediate_size"] == 4 * CONFIG["n_embd"]
    twice = CONFIG | {"layer_norm_eps": CONFIG["layer_norm_epsilon"], "hidden_size": CONFIG["n_embd"]}
    assert in_terms_of_nomic_moe(tmp_path, twice)["hidden_size"] == CONFIG["n_embd"]
