"""The encoder of a GLiNER2 checkpoint as transformers reads it, in a folder of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import MODEL_MAPPING, AutoConfig, AutoModel, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase

from encserve_export.checkpoint.gliner.encoder_folder import TABLES_OF_WORDS, encoder_folder, parted
from encserve_export.checkpoint.sentence.layers import read_raw_weights
from encserve_export.errors import CheckpointError, Unsupported

_BODY = "encoder."
"""What stands before the names of the encoder's tensors."""
_CONFIG = "encoder_config"
"""The folder of the encoder's configuration."""
ADDED = ("[SEP_STRUCT]", "[SEP_TEXT]", "[P]", "[C]", "[E]", "[R]", "[L]", "[EXAMPLE]", "[OUTPUT]", "[DESCRIPTION]")
"""What the library adds to a tokenizer, in its order, where it does not know them."""


def encoder_laid_out(folder: Path, *, allow_pickle: bool, weights: bool) -> tuple[Path, dict[str, Tensor]]:
    """A folder with the encoder of the checkpoint in `folder`, which is taken away when this process ends; and the
    tensors of what stands on it, by their names. Without `weights` there are none of either.

    Raises:
        CheckpointError: weights, the encoder's configuration or its tokenizer are missing, or do not belong together;
            or a pickle is not allowed.
        Unsupported: transformers has no network of the encoder's kind.
    """
    config = _config_of(folder)
    table = _table_of_words(folder, config)
    tokenizer = _tokenizer_of(folder)
    tensors = read_raw_weights(folder, allow_pickle=allow_pickle) if weights else {}
    body, of_head = parted(tensors, _BODY)
    if weights and table not in body:
        raise CheckpointError(f"the weights of {folder} have no tensor {_BODY}{table}, as GLiNER2 saves it")
    config.vocab_size = body[table].shape[0] if weights else max(len(tokenizer), config.vocab_size)
    own: Any = tokenizer.convert_tokens_to_ids([*ADDED])
    if max(own) >= config.vocab_size:
        raise CheckpointError(
            f"the tokenizer of {folder} knows {len(tokenizer)} tokens with those of GLiNER2, the network only "
            f"{config.vocab_size}: the library would draw the others at random"
        )
    return encoder_folder(folder, config, tokenizer, body), of_head


def _config_of(folder: Path) -> PreTrainedConfig:
    place = folder / _CONFIG
    if not (place / "config.json").is_file():
        raise CheckpointError(f"{place / 'config.json'} is missing, which says what the encoder of GLiNER2 is")
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(place, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"the configuration of the encoder in {place} cannot be read: {error}") from error
    return config


def _table_of_words(folder: Path, config: PreTrainedConfig) -> str:
    """The name of the tensor that has a row for each token."""
    if type(config) not in MODEL_MAPPING:
        raise Unsupported(
            f"{folder / _CONFIG} has model type {config.model_type!r}, of which transformers has no encoder"
        )
    make: Any = AutoModel.from_config
    with torch.device("meta"):
        model = make(config, trust_remote_code=False)
    table = model.get_input_embeddings().weight
    name: str = next(name for name, tensor in model.named_parameters() if tensor is table)
    if not name.endswith(TABLES_OF_WORDS):
        raise Unsupported(
            f"{folder / _CONFIG} has model type {config.model_type!r}; of GLiNER2 those are served that name the table "
            f"of their tokens as BERT, DeBERTa or ModernBERT do, {' or '.join(TABLES_OF_WORDS)}"
        )
    return name


def _tokenizer_of(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer with the tokens that the library adds to it."""
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (ImportError, KeyError, OSError, ValueError) as error:
        raise CheckpointError(f"the tokenizer of {folder} cannot be loaded: {error}") from error
    tokenizer.add_tokens([*ADDED], special_tokens=True)
    return tokenizer
