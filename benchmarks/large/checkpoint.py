"""A checkpoint of the sizes of Qwen3-Embedding-0.6B with random weights, and a tokenizer trained here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

import encserve_export.texts

SIZES: dict[str, Any] = {
    "vocab_size": 151_669,
    "hidden_size": 1_024,
    "intermediate_size": 3_072,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0},
    "max_position_embeddings": 32_768,
}
"""Of the published configuration."""
TINY: dict[str, Any] = SIZES | {
    "vocab_size": 4_096,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
}
"""For a rehearsal."""
MAX_LENGTH = 512
_PIECES = 4_000
"""Of the tokenizer; the other rows of the table are never looked up."""
_CORPUS = Path(encserve_export.texts.__file__).parent / "corpus" / "calibration"
_PAD, _END = "<|endoftext|>", "<|im_end|>"


def write_checkpoint(folder: Path, *, tiny: bool) -> Path:
    """Write the checkpoint with the modules of sentence-transformers: the last token's state, scaled to length 1. Its
    weights are bfloat16 numbers, as they are published."""
    torch.manual_seed(0)
    folder.mkdir(parents=True)
    tokenizer = _tokenizer()
    tokenizer.save_pretrained(folder)
    config = transformers.Qwen3Config(**(TINY if tiny else SIZES), tie_word_embeddings=True)
    network = transformers.AutoModel.from_config(config, dtype=torch.bfloat16)  # type: ignore[no-untyped-call]
    network.save_pretrained(folder)
    types = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    listed = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for place, (kind, path) in enumerate(types.items())
    ]
    _write(folder / "modules.json", listed)
    _write(folder / "sentence_bert_config.json", {"max_seq_length": MAX_LENGTH})
    (folder / "1_Pooling").mkdir()
    pooling = {"embedding_dimension": config.hidden_size, "pooling_mode_lasttoken": True}
    _write(folder / "1_Pooling" / "config.json", pooling)
    (folder / "2_Normalize").mkdir()
    return folder


def _tokenizer() -> transformers.PreTrainedTokenizerFast:
    texts = [
        json.loads(line)["text"]
        for file in sorted(_CORPUS.glob("*.jsonl"))
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=_PIECES, special_tokens=[_PAD, _END], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(texts, trainer)
    end = tokenizer.token_to_id(_END)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {_END}", special_tokens=[(_END, end)])
    return transformers.PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, model_max_length=MAX_LENGTH, pad_token=_PAD, eos_token=_END
    )


def _write(file: Path, stated: object) -> None:
    file.write_text(json.dumps(stated), encoding="utf-8")
