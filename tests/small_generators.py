"""Small checkpoints of all families that generate, with random weights: large ones, so that few tokens are ties."""

from pathlib import Path
from typing import Any

import torch
import transformers
from trained_t5 import BEGIN, END, tokenizer

SIZES: dict[str, Any] = {
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 40,
    "max_position_embeddings": 64,
    "init_std": 0.3,
    "scale_embedding": True,
}
CONFIGS = {
    "bart": transformers.BartConfig,
    "m2m_100": transformers.M2M100Config,
    "marian": transformers.MarianConfig,
    "mbart": transformers.MBartConfig,
    "pegasus": transformers.PegasusConfig,
}
SUMMARIES = {
    "num_beams": 4,
    "early_stopping": True,
    "length_penalty": 2.0,
    "no_repeat_ngram_size": 3,
    "min_length": 6,
    "max_length": 17,
    "forced_bos_token_id": BEGIN,
    "forced_eos_token_id": END,
}
"""What the generation_config.json of a BART for summaries says."""


def write_generator(
    folder: Path, family: str, pieces: Any = None, *, vocabulary: int | None = None, **generation: Any
) -> Path:
    """Write a checkpoint of a family; `generation` is what its generation_config.json says, beside that no padding
    is made, as a Marian's does; `pieces` is its tokenizer, of so many tokens."""
    torch.manual_seed(0)
    pieces = pieces or tokenizer()
    end, pad = pieces.eos_token_id, pieces.pad_token_id
    about = {"decoder_start_token_id": end, "eos_token_id": end, "pad_token_id": pad}
    config = CONFIGS[family](vocab_size=vocabulary or len(pieces), **SIZES, **about)
    model = transformers.AutoModelForSeq2SeqLM.from_config(config)
    if (bias := getattr(model, "final_logits_bias", None)) is not None:
        bias.normal_()
    model.generation_config = transformers.GenerationConfig(**about, bad_words_ids=[[pad]], **generation)
    model.save_pretrained(folder)
    pieces.save_pretrained(folder)
    return folder
