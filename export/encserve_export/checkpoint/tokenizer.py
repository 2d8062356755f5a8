"""The tokenizer of a checkpoint, and how long a text may be."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer, normalizers
from transformers import (
    AutoTokenizer,
    ByT5Tokenizer,
    M2M100Tokenizer,
    MarianTokenizer,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
)

from encserve_export.attention.families import Family
from encserve_export.errors import CheckpointError, InvalidConfig, Unsupported

from .byte_tokens import fast_byte_tokenizer
from .listed.tokenizer import ListedTokenizer, fast_listed_tokenizer
from .reference_tokenizers import check_conversion
from .sentence.transformer_settings import TransformerSettings

_NO_MAX_LENGTH = 10**9  # transformers gives 1e30 where a tokenizer states no length


def load_tokenizer(folder: Path, settings: TransformerSettings, code: str | None) -> PreTrainedTokenizerBase:
    """The tokenizer in `folder`, as transformers reads it, with the lower case that `settings` ask for.

    Raises:
        CheckpointError: transformers cannot load it.
        Unsupported: it has no fast form, its fast form gives other tokens, or it takes special tokens apart.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")  # reads no text of Marian
            tokenizer = AutoTokenizer.from_pretrained(
                folder, use_fast=True, trust_remote_code=code is not None, code_revision=code
            )
    except (ImportError, KeyError, OSError, ValueError) as error:
        raise CheckpointError(f"the tokenizer of {folder} cannot be loaded: {error}") from error
    if isinstance(tokenizer, ByT5Tokenizer):
        tokenizer = fast_byte_tokenizer(tokenizer)
    if isinstance(tokenizer, MarianTokenizer | M2M100Tokenizer) and not settings.lowercase:
        return fast_listed_tokenizer(tokenizer)
    if not tokenizer.is_fast:
        raise Unsupported(f"{type(tokenizer).__name__} has no fast form, which serving needs")
    if getattr(tokenizer, "split_special_tokens", False):
        raise Unsupported(
            f"{folder / 'tokenizer_config.json'} says split_special_tokens, which is not supported: tokenizer.json, "
            "from which texts are served, cannot say it"
        )
    if not (folder / "tokenizer.json").is_file():
        check_conversion(folder, tokenizer)
    fast = tokenizer.backend_tokenizer
    if settings.lowercase:
        steps = [normalizers.Lowercase(), *([fast.normalizer] if fast.normalizer else [])]
        fast.normalizer = normalizers.Sequence(steps)
    return tokenizer


def drop_strangers(folder: Path, tokenizer: PreTrainedTokenizerBase, vocabulary: int) -> None:
    """Take out of `tokenizer` the added special tokens that a network of `vocabulary` tokens has no vector for, as the
    place of an image in the tokenizers of Gemma 3: a text that spells one out is then read as the text that it is.

    Raises:
        CheckpointError: another token is too many, so that the two do not belong together; or any, of a tokenizer that
            looks pieces up in a list, which would go on giving its number.
    """
    known = len(tokenizer)
    if isinstance(tokenizer, ListedTokenizer):
        token, last = max(tokenizer.pieces["ids"].items(), key=lambda each: each[1])
        if last >= vocabulary:
            raise CheckpointError(
                f"the tokenizer of {folder} gives {token!r} the number {last}, the network knows only {vocabulary} "
                "tokens: they do not belong together"
            )
    if known <= vocabulary:
        return
    stated = json.loads(tokenizer.backend_tokenizer.to_str())
    strangers = {token["id"] for token in stated["added_tokens"] if token["special"] and token["id"] >= vocabulary}
    needed = {
        value for name in tokenizer.SPECIAL_TOKENS_ATTRIBUTES if (value := getattr(tokenizer, f"{name}_id", None))
    }
    if len(strangers) != known - vocabulary or strangers & needed:
        raise CheckpointError(
            f"the tokenizer of {folder} knows {known} tokens, the network only {vocabulary}: they do not belong "
            "together"
        )
    stated["added_tokens"] = [token for token in stated["added_tokens"] if token["id"] not in strangers]
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(stated))


def with_tokens(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[str]:
    """Those of `texts` of which `tokenizer` makes a token at least, a special one or another.

    Without any there is no answer: the tokenize step refuses such a text, and the library fails at it.
    """
    if tokenizer("")["input_ids"]:
        return list(texts)
    return [text for text in texts if tokenizer(text)["input_ids"]]


def max_length_of(
    asked: int | None,
    settings: TransformerSettings,
    tokenizer: PreTrainedTokenizerBase,
    config: PreTrainedConfig,
    family: Family,
) -> int:
    """Tokens of a text that the network sees, special tokens included: what is `asked`, else what the checkpoint says.

    Raises:
        InvalidConfig: more is asked than the network takes, or nobody says how long a text may be.
    """
    reach = family.longest(config)
    if asked is not None:
        if reach is not None and asked > reach:
            raise InvalidConfig(f"--max-length {asked}: the network takes {reach} tokens at most")
        return asked
    if settings.max_length is not None:
        stated: list[int | None] = [settings.max_length]
    else:
        own = int(tokenizer.model_max_length)
        stated = [own if own < _NO_MAX_LENGTH else None]
        stated += [getattr(config, name, None) for name in ("max_position_embeddings", "n_positions")]
    known = [length for length in (*stated, reach) if length is not None]
    if not known:
        raise InvalidConfig("neither the network nor the tokenizer says how long a text may be; give --max-length")
    return min(known)
