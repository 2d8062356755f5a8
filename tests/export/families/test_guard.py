"""What the guard must catch: networks that were made wrong on purpose."""

from dataclasses import replace

import pytest
import torch

from encserve_export.attention import disentangled_attention, encoding, packed_attention
from encserve_export.attention.families import FAMILIES
from encserve_export.attention.pairs import Pairs
from encserve_export.certificate.guard import check_texts_are_apart
from encserve_export.errors import Unsupported

from .checkpoints import load, write_checkpoint

DIFFERS = r"run packed differs from each text alone: by .* allowed is 1e-03"


def seen_without(part):
    """What queries would see if attention forgot this."""
    genuine = Pairs.seen.func
    if part == "length mask":
        return property(lambda pairs: torch.ones_like(genuine(pairs)))
    return property(lambda pairs: genuine(replace(pairs, window=None)))


@pytest.mark.parametrize(
    ("case", "part"), [("bert", "length mask"), ("t5", "length mask"), ("modernbert", "sliding window")]
)
def test_attention_to_the_wrong_places(case, part, checkpoint_of, monkeypatch):
    monkeypatch.setattr(Pairs, "seen", seen_without(part))
    with pytest.raises(Unsupported, match=DIFFERS):
        check_texts_are_apart(checkpoint_of(case))


@pytest.mark.parametrize(
    ("case", "bias"), [("t5", "position_bias"), ("mpnet", "position_bias"), ("deberta-v2", "score_bias")]
)
def test_a_bias_that_is_left_out(case, bias, checkpoint_of, monkeypatch):
    def without_bias(*args, **kwargs):
        return packed_attention.packed_attention(*args, **{name: kwargs[name] for name in kwargs if name != bias})

    monkeypatch.setattr("encserve_export.certificate.guard.packed_attention", without_bias)
    with pytest.raises(Unsupported, match=DIFFERS):
        check_texts_are_apart(checkpoint_of(case))


def test_a_window_that_is_wider_than_the_usual_probe(tmp_path):
    checkpoint = load(write_checkpoint(tmp_path, "modernbert", max_length=400, local_attention=200))
    check_texts_are_apart(checkpoint)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pairs, "seen", seen_without("sliding window"))
        with pytest.raises(Unsupported, match=DIFFERS):
            check_texts_are_apart(checkpoint)


def test_a_convolution_across_texts(checkpoint_of, monkeypatch):
    monkeypatch.setattr(disentangled_attention, "_convolution", lambda conv, row: type(conv).forward(conv, row))
    with pytest.raises(Unsupported, match=DIFFERS):
        check_texts_are_apart(checkpoint_of("deberta-v2"))


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("roberta", {"first_position": lambda config: 0}),
        ("mpnet", {"first_position": lambda config: 1}),
        ("roberta", {"skips_padding": False}),
    ],
)
def test_wrong_positions(case, change, checkpoint_of, monkeypatch):
    monkeypatch.setitem(FAMILIES, case, replace(FAMILIES[case], **change))
    with pytest.raises(Unsupported, match=DIFFERS):
        check_texts_are_apart(checkpoint_of(case))


def test_padding_without_a_mask(checkpoint_of, monkeypatch):
    class Unmasked(torch.nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network, self.config = network, network.config

        def forward(self, attention_mask, **inputs):
            return self.network(**inputs, attention_mask=torch.ones_like(attention_mask))

    genuine = encoding.token_states
    monkeypatch.setattr(
        "encserve_export.network.packed_graph.token_states",
        lambda network, *inputs: genuine(Unmasked(network), *inputs),
    )
    with pytest.raises(Unsupported, match=DIFFERS):
        check_texts_are_apart(checkpoint_of("megatron-bert"))


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("bert", {"own_attention": True}),
        ("mpnet", {"while_packed": FAMILIES["bert"].while_packed}),
        ("rembert", {"padded": False}),
    ],
)
def test_attention_that_ignores_the_registered_function(case, change, checkpoint_of, monkeypatch):
    """transformers would take all of these in silence, and the texts of a batch would see each other."""
    checkpoint = checkpoint_of(case)
    family = replace(FAMILIES[case], **change)
    monkeypatch.setitem(FAMILIES, case, family)
    with pytest.raises(Unsupported, match="attended packed in 0 of its 2 layers"):
        check_texts_are_apart(replace(checkpoint, family=family))


def test_a_layer_that_is_left_out(tmp_path):
    checkpoint = load(write_checkpoint(tmp_path, "bert"))
    checkpoint.config.num_hidden_layers = 3
    with pytest.raises(Unsupported, match="attended packed in 2 of its 3 layers"):
        check_texts_are_apart(checkpoint)


def test_the_network_is_as_before_once_it_ran_packed(checkpoint_of):
    for case in ("bert", "deberta-v2", "mpnet", "t5"):
        model = checkpoint_of(case).model
        with encoding.attention(model):
            pass
        assert model.config._attn_implementation == "eager"
        assert not [name for module in model.modules() for name in vars(module) if name in ("forward", "compute_bias")]
