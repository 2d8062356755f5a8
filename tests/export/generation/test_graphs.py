"""The graphs of T5's and of BART's kin beside transformers, token by token."""

import numpy as np
import pytest
import torch
import transformers

from encserve_export.attention.encoding import attention
from encserve_export.generation.decoders.table import decoder_of
from encserve_export.generation.graphs import DecoderStep, SourceEncoder, shape_of, write_graphs
from encserve_export.generation.precision.making import to_integer_graphs
from encserve_server.steps.generate.decoder.cache import BLOCK, Cache
from encserve_server.steps.generate.decoder.network import GenerateNetwork

from .greedy import greedy

TOKENS, PADDED = 50, 64
SIZES = {
    "vocab_size": PADDED,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "decoder_start_token_id": 0,
}
CASES = {
    "t5": (transformers.T5Config, {"num_decoder_layers": 1}),
    "t5 v1.1": (transformers.T5Config, {"feed_forward_proj": "gated-gelu", "scale_decoder_outputs": False}),
    "mt5": (transformers.MT5Config, {}),
    "umt5": (transformers.UMT5Config, {}),
}
BART_SIZES = {
    "vocab_size": PADDED,
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 40,
    "max_position_embeddings": 48,
    "init_std": 0.2,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
}
BART_CASES = {
    "bart": (transformers.BartConfig, {}),
    "bart scaled": (transformers.BartConfig, {"scale_embedding": True, "activation_function": "relu"}),
    "mbart": (transformers.MBartConfig, {"scale_embedding": True}),
    "marian": (transformers.MarianConfig, {"scale_embedding": True, "activation_function": "swish"}),
    "marian apart": (
        transformers.MarianConfig,
        {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": PADDED, "tie_word_embeddings": False},
    ),
    "pegasus": (transformers.PegasusConfig, {"scale_embedding": True}),
    "m2m_100": (transformers.M2M100Config, {"scale_embedding": True}),
}
CASES |= {case: (kind, BART_SIZES | changes) for case, (kind, changes) in BART_CASES.items()}


def model_of(case):
    kind, changes = CASES[case]
    torch.manual_seed(0)
    sizes = changes if case in BART_CASES else SIZES | changes
    model = transformers.AutoModelForSeq2SeqLM.from_config(kind(**sizes)).eval().requires_grad_(False)
    if (bias := getattr(model, "final_logits_bias", None)) is not None:
        bias.normal_()
    model.set_attn_implementation("eager")
    return model


@pytest.mark.parametrize("case", CASES)
def test_logits_of_every_step_are_those_of_transformers_before_it_is_traced(case):
    model = model_of(case)
    source = torch.randint(3, TOKENS, (1, 9))
    tokens = torch.randint(3, TOKENS, (1, 6))
    tokens[0, 0] = model.config.decoder_start_token_id
    right = model(input_ids=source, decoder_input_ids=tokens).logits[0, :, :TOKENS]
    decoder, shape = decoder_of(model, TOKENS), shape_of(model, TOKENS)
    encoder, step = SourceEncoder(model.get_encoder(), decoder), DecoderStep(decoder)
    with attention(encoder.encoder):
        of_source = encoder(source[0], torch.tensor([source.shape[1]]))  # (2 L, H, S, D)
    past = torch.zeros(2 * shape.layers, 1, 1, shape.heads, tokens.shape[1], shape.size)
    for at, expected in enumerate(right):
        kept = [each for layer in range(0, len(past), 2) for each in (*past[layer:][:2], *of_source[layer:][:2, None])]
        logits, keys, values = step(tokens[:, [at]], torch.tensor([at]), torch.tensor([source.shape[1]]), kept)
        past[::2, ..., at, :], past[1::2, ..., at, :] = keys, values
        assert (logits[0, 0] - expected).abs().max() / expected.std() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_logits_are_those_of_transformers_and_of_integers_too(tmp_path, case):
    model = model_of(case)
    first = model.config.decoder_start_token_id
    write_graphs(model, TOKENS, tmp_path)
    shape = shape_of(model, TOKENS)
    network = GenerateNetwork(tmp_path, shape, threads=1)
    random = np.random.default_rng(0)
    sources = [random.integers(3, TOKENS, length) for length in (5, 1, 9, BLOCK + 8)]
    sources[-1][3] = model.config.pad_token_id  # as a text that spells it out
    cache = Cache(shape.layers, shape.heads, shape.size)
    for source in network.encode(sources):
        cache.add(source)
    made = [[first] for _ in sources]
    for _ in range(BLOCK + 3):
        logits = network.step(np.array([tokens[-1:] for tokens in made]), cache)[:, 0]
        assert logits.shape == (len(sources), TOKENS)
        for tokens in made:
            tokens.append(int(random.integers(3, TOKENS)))
    for source, tokens, last in zip(sources, made, logits, strict=True):
        before = torch.tensor([tokens[:-1]])
        right = model(input_ids=torch.tensor(source)[None], decoder_input_ids=before).logits[0, -1, :TOKENS].numpy()
        assert np.abs(last - right).max() / right.std() < 1e-5
    check_integers(tmp_path, network, first, random)


def check_integers(folder, full, first, random):
    """All products with weights can be integers, and what is beside a text moves nothing of it."""
    defaults = greedy(start_token=first, end_tokens=(TOKENS + 1,), max_new_tokens=12)
    texts = [random.integers(3, TOKENS, length) for length in random.integers(1, 45, 160)]
    packs = [{"input_ids": np.concatenate(texts), "lengths": np.array([len(text) for text in texts])}]
    how = to_integer_graphs(folder, full, defaults, encoded=packs, decoded=texts[:96], tried=texts[96:128])
    for graph in ("encoder", "step"):
        assert how[graph]["int8_layers"] == how[graph]["linear_layers"] > 4
    integers = GenerateNetwork(folder, full.shape, threads=1)
    together = integers.encode(texts[128:])
    tokens = random.integers(3, TOKENS, (len(together), 8))
    rows = logits_along(integers, together, tokens)
    exact = logits_along(full, full.encode(texts[128:]), tokens)
    assert np.abs(rows - exact).max() > 1e-5
    # Random weights blow rounding up, but to no other logits.
    assert np.corrcoef(rows.ravel(), exact.ravel())[0, 1] > 0.8
    for row in range(0, len(together), 8):
        source = integers.encode([texts[128 + row]])
        assert np.array_equal(source[0], together[row])
        assert np.array_equal(logits_along(integers, source, tokens[[row]])[0], rows[row])


def logits_along(network, sources, tokens):
    """float32 (n, r, V), with all texts in one cache."""
    cache = Cache(network.shape.layers, network.shape.heads, network.shape.size)
    for source in sources:
        cache.add(source)
    return np.stack([network.step(tokens[:, [at]], cache)[:, 0] for at in range(tokens.shape[1])], axis=1)
