"""Texts to packed token ids, with a count of everything that was cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from .options import InvalidArgument, Options


@dataclass(frozen=True)
class Limits:
    """How much one request may ask for."""

    max_length: int
    """Tokens of one text that the network sees, special tokens included."""
    max_texts_per_request: int
    max_tokens_per_request: int
    """Tokens of all texts of a request, after truncation."""
    max_bytes_per_text: int
    """UTF-8 bytes of one text."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Limits:
        """Read the limits from the settings of the tokenize step."""
        return cls(**settings["limits"])


@dataclass(frozen=True)
class TokenizedTexts:
    """The n texts of one request, packed."""

    input_ids: NDArray[np.int64]
    """Token ids of all texts, end to end: (T,)."""
    lengths: NDArray[np.int64]
    """Tokens of each text: (n,)."""
    dropped_counts: NDArray[np.int32]
    """Tokens that were cut from each text: (n,)."""


class Tokenization:
    """A tokenizer with the limits and prompts of its pipeline."""

    def __init__(self, tokenizer: Tokenizer, limits: Limits, prompts: Mapping[str, str]) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._limits = limits
        self._prompts = dict(prompts)
        self._leading, self._trailing = _special_tokens_around(tokenizer)

    def decode(self, raw_texts: Sequence[bytes], options: Options) -> list[str]:
        """Check the texts of a request, as they came over the wire, and put the prompt before each.

        Raises:
            InvalidArgument: no text, too many texts, a text that is too large, or one that is not UTF-8.
        """
        limits = self._limits
        if not len(raw_texts):
            raise InvalidArgument("the request has no texts; at least one is expected")
        if len(raw_texts) > limits.max_texts_per_request:
            raise InvalidArgument(
                f"the request has {len(raw_texts)} texts; max_texts_per_request is {limits.max_texts_per_request}"
            )
        prompt = self._prompts[options.prompt_name] if options.prompt_name else ""
        texts = []
        for index, raw in enumerate(raw_texts):
            if len(raw) > limits.max_bytes_per_text:
                raise InvalidArgument(
                    f"text {index} has {len(raw)} bytes; max_bytes_per_text is {limits.max_bytes_per_text}"
                )
            try:
                texts.append(prompt + raw.decode("utf-8"))
            except UnicodeDecodeError as error:
                raise InvalidArgument(
                    f"text {index} is not valid UTF-8: {error.reason} at byte {error.start} (0x{raw[error.start]:02x})"
                ) from None
        return texts

    def encode(self, texts: list[str]) -> list[Encoding]:
        """Tokenize whole texts, of any number of requests at once; nothing is cut here."""
        return self._tokenizer.encode_batch_fast(texts)

    def pack(self, encodings: Sequence[Encoding], options: Options) -> TokenizedTexts:
        """Cut the texts of one request to the length that the network takes, and lay them end to end.

        Special tokens are kept: what is cut is the text between them, at its end or at its start.

        Raises:
            InvalidArgument: a text is too long and may not be cut, or the request has too many tokens.
        """
        limits = self._limits
        kept: list[list[int]] = []
        dropped = np.zeros(len(encodings), np.int32)
        for index, encoding in enumerate(encodings):
            ids = encoding.ids
            excess = len(ids) - limits.max_length
            if excess > 0:
                if options.truncate == "error":
                    raise InvalidArgument(
                        f"text {index} has {len(ids)} tokens; max_length is {limits.max_length} and truncate is 'error'"
                    )
                dropped[index] = excess
                ids = self._cut(ids, excess, options.truncate)
            kept.append(ids)

        lengths = np.array([len(ids) for ids in kept], np.int64)
        token_count = int(lengths.sum())
        if token_count > limits.max_tokens_per_request:
            raise InvalidArgument(
                f"the request has {token_count} tokens; max_tokens_per_request is {limits.max_tokens_per_request}"
            )
        input_ids = np.empty(token_count, np.int64)
        end = 0
        for ids in kept:
            input_ids[end : end + len(ids)] = ids
            end += len(ids)
        return TokenizedTexts(input_ids=input_ids, lengths=lengths, dropped_counts=dropped)

    def _cut(self, ids: list[int], excess: int, side: str) -> list[int]:
        text_end = len(ids) - self._trailing
        if side == "end":
            return ids[: text_end - excess] + ids[text_end:]
        return ids[: self._leading] + ids[self._leading + excess :]


def _special_tokens_around(tokenizer: Tokenizer) -> tuple[int, int]:
    """How many special tokens the tokenizer puts before and after a text."""
    mask = tokenizer.encode("a").special_tokens_mask
    leading = next((index for index, special in enumerate(mask) if not special), len(mask))
    trailing = next((index for index, special in enumerate(reversed(mask)) if not special), 0)
    return leading, trailing
