"""The graphs of T5's kin beside transformers, token by token."""

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


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_logits_are_those_of_transformers(tmp_path, case):
    kind, changes = CASES[case]
    torch.manual_seed(0)
    model = transformers.AutoModelForSeq2SeqLM.from_config(kind(**SIZES | changes)).eval().requires_grad_(False)
    model.set_attn_implementation("eager")
    write_graphs(model, TOKENS, tmp_path)
    shape = shape_of(model)
    network = GenerateNetwork(tmp_path, shape, threads=1)
    random = np.random.default_rng(0)
    sources = [random.integers(2, TOKENS, length) for length in (5, 1, 9, BLOCK + 8)]
    cache = Cache(shape.layers, shape.heads, shape.size)
    for source in network.encode(sources):
        cache.add(source)
    made = [[0] for _ in sources]
    for _ in range(BLOCK + 3):
        logits = network.step(np.array([tokens[-1] for tokens in made]), cache)
        assert logits.shape == (len(sources), TOKENS)
        for tokens in made:
            tokens.append(int(random.integers(TOKENS)))
    for source, tokens, last in zip(sources, made, logits, strict=True):
        before = torch.tensor([tokens[:-1]])
        right = model(input_ids=torch.tensor(source)[None], decoder_input_ids=before).logits[0, -1, :TOKENS].numpy()
        assert np.abs(last - right).max() / right.std() < 1e-5
