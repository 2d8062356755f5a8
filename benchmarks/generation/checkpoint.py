"""A T5 of the size of t5-small with random weights, and the requests that all systems get."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

PIECES, TINY_PIECES = 32_100, 500
"""Of the vocabulary of t5-small, and of a rehearsal's; 28 more rows pad it."""
SMALL: dict[str, Any] = {
    "d_model": 512,
    "d_ff": 2_048,
    "d_kv": 64,
    "num_heads": 8,
    "num_layers": 6,
    "num_decoder_layers": 6,
}
TINY: dict[str, Any] = {
    "d_model": 64,
    "d_ff": 128,
    "d_kv": 16,
    "num_heads": 4,
    "num_layers": 1,
    "num_decoder_layers": 1,
}
"""For a rehearsal."""
MEDIAN_SOURCE, SIGMA_SOURCE = 18, 0.3
MEDIAN_NEW, SIGMA_NEW, LEAST_NEW, MOST_NEW = 21, 0.6, 4, 96
"""Lengths in tokens, whose logarithm is normal."""


@dataclass(frozen=True)
class Request:
    """One text, and how many tokens are made of it."""

    text: str
    ids: list[int]
    new_tokens: int


def write_checkpoint(folder: Path, *, tiny: bool) -> Path:
    """Write the checkpoint, of random weights, which end no text: lengths are those that are asked for. Such a network
    says the token again that it has, and padding, with which it begins, has no pieces: so padding is never likely."""
    torch.manual_seed(0)
    shape, pieces = (TINY, TINY_PIECES) if tiny else (SMALL, PIECES)
    config = transformers.T5Config(vocab_size=pieces + 28, **{**shape, "decoder_start_token_id": 0})
    model = transformers.T5ForConditionalGeneration(config)
    with torch.no_grad():
        model.shared.weight[0] = 0.0
    model.generation_config = transformers.GenerationConfig(  # type: ignore[no-untyped-call]
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=1
    )
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=_tokenizer(pieces),
        model_max_length=512,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
    ).save_pretrained(folder)
    return folder


def requests(folder: Path, count: int, *, seed: int) -> list[Request]:
    """Requests of words that are a token each."""
    rng = np.random.default_rng(seed)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    sources = np.rint(rng.lognormal(np.log(MEDIAN_SOURCE), SIGMA_SOURCE, count)).astype(int).clip(2, 64)
    new = np.rint(rng.lognormal(np.log(MEDIAN_NEW), SIGMA_NEW, count)).astype(int).clip(LEAST_NEW, MOST_NEW)
    words = _words(tokenizer.get_vocab_size())
    texts = [" ".join(words[place] for place in rng.integers(0, len(words), length)) for length in sources]
    return [Request(text, tokenizer.encode(text).ids, int(length)) for text, length in zip(texts, new, strict=True)]


def _words(pieces: int) -> list[str]:
    letters = "abcdefghijklmnoprstuvwxyz"
    return ["".join(each) for each in islice(product(letters, repeat=4), pieces - 3)]


def _tokenizer(pieces: int) -> Tokenizer:
    names = ["<pad>", "</s>", "<unk>", *(f"▁{word}" for word in _words(pieces))]
    tokenizer = Tokenizer(models.WordLevel({piece: place for place, piece in enumerate(names)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer
