"""The encoder of a GLiNER checkpoint as transformers reads it, in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    CONFIG_MAPPING,
    MODEL_MAPPING,
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
)

from encserve_export.checkpoint.sentence.layers import read_raw_weights
from encserve_export.errors import CheckpointError, Unsupported

from .base import TOKENIZER, Base
from .encoder_folder import TABLES_OF_WORDS, encoder_folder, parted
from .layout import GLINER, GlinerSettings

BODY = "token_rep_layer.bert_layer.model."
"""What stands before the names of the encoder's tensors."""
_ADDED = "[FLERT]"
"""A token that the library adds before its own two, and never uses."""


def encoder_laid_out(
    folder: Path, settings: GlinerSettings, base: Base | None, *, allow_pickle: bool, weights: bool
) -> tuple[Path, dict[str, Tensor]]:
    """A folder with the encoder of the checkpoint in `folder`, which is taken away when this process ends; and the
    tensors of what stands on it, by their names. Without `weights` there are none of either. What the files do not have
    of configuration and tokenizer is that of `base`.

    Raises:
        CheckpointError: weights, the encoder's configuration or its tokenizer are missing, or a pickle is not allowed.
        Unsupported: the family of the encoder is none of transformers, or its table of words has another name than that
            of BERT or ModernBERT.
    """
    config = _config_of(folder, settings, base)
    _check_table_of_words(folder, config)
    tokenizer = _tokenizer_of(folder, settings, base)
    tensors = read_raw_weights(folder, allow_pickle=allow_pickle) if weights else {}
    body, of_head = parted(tensors, BODY)
    if weights and not body:
        raise CheckpointError(f"the weights of {folder} have no tensor {BODY}*, as GLiNER saves those of its encoder")
    embeddings = [tensor for name, tensor in body.items() if name.endswith(TABLES_OF_WORDS)]
    config.vocab_size = embeddings[0].shape[0] if embeddings else max(len(tokenizer), config.vocab_size)
    return encoder_folder(folder, config, tokenizer, body), of_head


def _config_of(folder: Path, settings: GlinerSettings, base: Base | None) -> PreTrainedConfig:
    if settings.encoder is None:
        assert base is not None
        try:
            found: PreTrainedConfig = AutoConfig.from_pretrained(base.folder, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{folder / GLINER} has no encoder_config, and its model_name, {settings.encoder_name!r}, "
                f"cannot be read: {error}"
            ) from error
        return found
    kind = settings.encoder.get("model_type", "deberta-v2")
    if kind not in CONFIG_MAPPING:
        raise Unsupported(f"{folder / GLINER} has an encoder of model type {kind!r}, which transformers does not have")
    return CONFIG_MAPPING[kind](**settings.encoder)


def _check_table_of_words(folder: Path, config: PreTrainedConfig) -> None:
    make: Any = AutoModel.from_config
    names: Iterable[str] = ()
    if type(config) in MODEL_MAPPING:
        with torch.device("meta"):
            names = make(config, trust_remote_code=False).state_dict()
    if not any(name.endswith(TABLES_OF_WORDS) for name in names):
        raise Unsupported(
            f"{folder / GLINER} has an encoder of model type {config.model_type!r}; of GLiNER those are served that "
            f"name the table of their tokens as BERT, DeBERTa or ModernBERT do, {' or '.join(TABLES_OF_WORDS)}"
        )


def _tokenizer_of(folder: Path, settings: GlinerSettings, base: Base | None) -> PreTrainedTokenizerBase:
    """The tokenizer with the tokens that the library adds to it, and with the special tokens that it asks for."""
    source = folder if base is None or (folder / TOKENIZER).is_file() else base.folder
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except (ImportError, KeyError, OSError, ValueError) as error:
        named = "" if source == folder else f" from {source}, which its {GLINER} names"
        raise CheckpointError(f"the tokenizer of {folder} cannot be loaded{named}: {error}") from error
    for name in ("bos", "eos"):
        if hasattr(tokenizer, f"add_{name}_token") and getattr(tokenizer, f"{name}_token_id") is not None:
            setattr(tokenizer, f"add_{name}_token", True)
    if settings.adds_tokens:
        tokenizer.add_tokens([_ADDED, settings.marker, settings.separator], special_tokens=True)
    return tokenizer
