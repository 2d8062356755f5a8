"""The tokenizer of ByT5, whose tokens are the bytes of a text, in the fast form that transformers does not have."""

from __future__ import annotations

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

_REPLACEMENT = "\ufffd"
_KEPT = "\U0010ffff\U0010fffe"
"""Stands for a replacement character that a text has itself, while those that stand for broken bytes are dropped. No
text has these two characters, which Unicode gives no meaning, one behind the other."""


def fast_byte_tokenizer(slow: ByT5Tokenizer) -> PreTrainedTokenizerFast:
    """The same tokens and texts as `slow`: a token for each byte behind those that are added, bytes that are no
    character are dropped, and an end behind each text. Only a text that itself ends with the end spelled out gets
    another one, where transformers adds none."""
    letters: dict[int, str] = bytes_to_unicode()  # type: ignore[no-untyped-call]
    added = dict(sorted(slow.added_tokens_decoder.items()))
    vocabulary = {letter: byte + slow.offset for byte, letter in letters.items()}
    vocabulary |= {token.content: token_id for token_id, token in added.items()}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    special = set(slow.all_special_ids)
    for token_id, token in added.items():
        token.special = token_id in special  # which the first three are without being called so
        tokenizer.add_tokens([token])
    end = str(slow.eos_token)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {end}", pair=f"$A {end} $B:1 {end}:1", special_tokens=[(end, slow.eos_token_id)]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Fuse(),
            decoders.Replace(_as_letters(_REPLACEMENT, letters), _as_letters(_KEPT, letters)),
            decoders.ByteLevel(),
            decoders.Replace(_REPLACEMENT, ""),
            decoders.Replace(_KEPT, _REPLACEMENT),
        ]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        eos_token=slow.eos_token,
        unk_token=slow.unk_token,
        pad_token=slow.pad_token,
        additional_special_tokens=[token.content for token_id, token in added.items() if token_id >= slow.offset],
        model_max_length=slow.model_max_length,
        model_input_names=slow.model_input_names,
        clean_up_tokenization_spaces=False,
    )


def _as_letters(text: str, letters: dict[int, str]) -> str:
    return "".join(letters[byte] for byte in text.encode())
