"""The graphs of T5's and of BART's kin beside transformers, token by token."""

import numpy as np
import pytest
import torch
import transformers

from encserve_export.generation.graphs import shape_of, write_graphs
from encserve_server.steps.generate.cache import BLOCK, Cache
from encserve_server.steps.generate.network import GenerateNetwork

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


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_logits_are_those_of_transformers(tmp_path, case):
    kind, changes = CASES[case]
    torch.manual_seed(0)
    sizes = changes if case in BART_CASES else SIZES | changes
    model = transformers.AutoModelForSeq2SeqLM.from_config(kind(**sizes)).eval().requires_grad_(False)
    if (bias := getattr(model, "final_logits_bias", None)) is not None:
        bias.normal_()
    first = model.config.decoder_start_token_id
    model.set_attn_implementation("eager")
    write_graphs(model, TOKENS, tmp_path)
    shape = shape_of(model, 1)
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
