"""Beams and rules beside `generate` of transformers, token by token, with a network that is run whole each time."""

import numpy as np
import pytest
import torch
import transformers

from encserve_export.generation.defaults import defaults_of
from encserve_server.steps.generate.texts.beams import Beams, score_of
from encserve_server.steps.generate.texts.choice import Choice

TOKENS, BEGIN, PAD, END = 24, 0, 1, 2
MOST = 14
NAMES = {
    "num_beams": "beams",
    "forced_bos_token_id": "first",
    "forced_eos_token_id": "last",
    "bad_words_ids": "never",
    "renormalize_logits": "renormalizes",
}
"""Settings of transformers that have another name here."""
RULES = (
    {"min_new_tokens": 6},
    {"no_repeat_ngram_size": 2},
    {"no_repeat_ngram_size": 1},
    {"repetition_penalty": 1.4},
    {"repetition_penalty": 0.7, "no_repeat_ngram_size": 3},
    {"forced_bos_token_id": 7, "forced_eos_token_id": END},
    {"bad_words_ids": [[PAD], [9]]},
    {
        "min_new_tokens": 5,
        "no_repeat_ngram_size": 3,
        "forced_bos_token_id": BEGIN,
        "forced_eos_token_id": END,
        "bad_words_ids": [[PAD]],
    },
)
BEAMS = (
    {"num_beams": 2},
    {"num_beams": 4},
    {"num_beams": 5, "early_stopping": True},
    {"num_beams": 4, "early_stopping": "never", "length_penalty": 2.0},
    {"num_beams": 4, "early_stopping": "never", "length_penalty": -1.0},
    {"num_beams": 3, "length_penalty": 0.0},
    {"num_beams": 3, "length_penalty": -0.5, "early_stopping": True},
    {"num_beams": 4, "eos_token_id": [END, 5]},
    {"num_beams": 4, "renormalize_logits": True, "bad_words_ids": [[PAD], [9]]},
    {"num_beams": 4, "renormalize_logits": True, "no_repeat_ngram_size": 1, "repetition_penalty": 1.4},
)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = transformers.BartConfig(
        vocab_size=TOKENS,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_position_embeddings=32,
        init_std=0.4,
        bos_token_id=BEGIN,
        pad_token_id=PAD,
        eos_token_id=END,
        decoder_start_token_id=END,
        forced_eos_token_id=None,
    )
    made = transformers.BartForConditionalGeneration(config).eval().requires_grad_(False)
    made.final_logits_bias[0, END] = 3.0  # so that texts end at all lengths
    return made


def sources():
    random = torch.Generator().manual_seed(1)
    return [torch.randint(3, TOKENS, (1, 6), generator=random) for _ in range(8)]


def choice_of(settings):
    ours = {NAMES.get(name, name): value for name, value in settings.items() if name != "eos_token_id"}
    if "last" in ours:
        ours["last"] = (ours["last"],)
    if "never" in ours:
        ours["never"] = tuple(token for (token,) in ours["never"])
    ends = settings.get("eos_token_id", END)
    return Choice(ends=tuple(ends) if isinstance(ends, list) else (ends,), start=END, **ours)


def logits_after(model, source, hypotheses):
    """float32 (K, V), each after its start and its tokens."""
    before = torch.tensor([[END, *made] for made in hypotheses])
    return model(input_ids=source.expand(len(before), -1), decoder_input_ids=before).logits[:, -1].numpy()


def made_of(model, source, choice):
    if choice.beams > 1:
        beams = Beams(choice, MOST)
        while not beams.over:
            beams.advance(logits_after(model, source, beams.running))
        return list(beams.best)
    made = []
    while not made or (made[-1] not in choice.ends and len(made) < MOST):
        made.append(choice.token(logits_after(model, source, [made])[0], made, MOST))
    return made


@pytest.mark.parametrize("settings", [*RULES, *BEAMS, *({"num_beams": 4} | each for each in RULES)], ids=str)
def test_tokens_are_those_of_transformers(model, settings):
    for source in sources():
        made = made_of(model, source, choice_of(settings))
        right = model.generate(source, max_new_tokens=MOST, do_sample=False, **settings)[0, 1:].tolist()
        assert made == right


def test_a_checkpoint_may_want_scores_to_be_probabilities_again(model, monkeypatch):
    assert not defaults_of(model, "a folder").renormalizes
    monkeypatch.setattr(model.generation_config, "renormalize_logits", True)
    assert defaults_of(model, "a folder").renormalizes


def test_beams_find_other_texts_than_the_likeliest_token_each_time_and_end_at_all_lengths(model):
    greedy, searched = (
        [made_of(model, source, Choice(ends=(END,), start=END, beams=beams)) for source in sources()]
        for beams in (1, 4)
    )
    assert sum(one != other for one, other in zip(greedy, searched, strict=True)) > 2
    assert len(set(map(len, searched))) > 2


def test_a_score_is_that_by_which_hypotheses_are_ranked(model):
    settings = {"num_beams": 3, "length_penalty": 0.7, "no_repeat_ngram_size": 2, "renormalize_logits": True}
    source = torch.tensor([[5, 9, 11, 4]])
    made = model.generate(source, max_new_tokens=MOST, return_dict_in_generate=True, output_scores=True, **settings)
    tokens = made.sequences[0, 1:].tolist()
    logits = np.concatenate([logits_after(model, source, [tokens[:at]]) for at in range(len(tokens))])
    score = score_of(choice_of(settings), tokens, logits, MOST)
    assert score == pytest.approx(float(made.sequences_scores[0]), rel=1e-5)
