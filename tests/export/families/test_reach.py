"""How long a text each family takes: by what the network itself looks up, and as encserve reads its configuration."""

import pytest
import torch

from encserve_export.attention.families import DECODERS
from encserve_export.reference.reach import reach_of

from .checkpoints import CASES, load, write_checkpoint

ENDLESS = {"deberta-v2 like v3", "esm", "eurobert", "gte", "jina_embeddings_v3", "modernbert", "nomic_bert"}
ENDLESS |= {"mt5", "t5", "t5 gated", "ultrabert", "umt5", "embedding_gemma2_text"}
ENDLESS |= {case for case in CASES if case.split()[0] in DECODERS}


@pytest.mark.parametrize("case", CASES)
def test_a_network_shows_how_long_a_text_it_takes(case, checkpoint_of):
    checkpoint = checkpoint_of(case)
    reach = reach_of(checkpoint.model, checkpoint.tokenizer)
    assert reach == checkpoint.family.longest(checkpoint.config)
    assert (reach is None) == (case in ENDLESS)


@pytest.mark.parametrize("case", [case for case in CASES if case not in ENDLESS])
def test_a_text_of_that_length_has_an_answer_and_a_longer_one_has_none(case, checkpoint_of):
    checkpoint = checkpoint_of(case)
    reach = reach_of(checkpoint.model, checkpoint.tokenizer)

    def run(tokens):
        row = torch.full((1, tokens), checkpoint.config.vocab_size - 1)
        with torch.inference_mode():
            checkpoint.encoder(input_ids=row, attention_mask=torch.ones_like(row))

    run(reach)
    with pytest.raises((IndexError, RuntimeError)):
        run(reach + 1)


def test_big_bird_has_one_answer_only_where_it_attends_in_full(tmp_path):
    checkpoint = load(write_checkpoint(tmp_path, "big_bird", num_random_blocks=1, block_size=4))
    assert checkpoint.family.longest(checkpoint.config) == 28
    assert reach_of(checkpoint.model, checkpoint.tokenizer) == 28
