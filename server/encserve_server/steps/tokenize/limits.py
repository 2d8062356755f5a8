"""The limits of one request, and the check of its texts as they come over the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..request.options import InvalidArgument

MAX_WHOLE_BYTES = 256 * 1024
"""The most UTF-8 bytes of a text of which all tokens are needed; of a longer one only what truncation keeps is
tokenized."""


@dataclass(frozen=True)
class Limits:
    """The most that one request may ask for."""

    max_length: int
    """The tokens of one text that the network sees, special tokens included."""
    max_texts_per_request: int
    """The number of texts, or of pairs of texts."""
    max_tokens_per_request: int
    """The tokens of all texts of a request, after truncation."""
    max_bytes_per_text: int
    """The UTF-8 bytes of one text."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Limits:
        """Return the limits in the settings of the tokenize step."""
        return cls(**settings["limits"])

    def decode(self, raw_texts: Sequence[bytes], *, name: str = "text", whole: bool = False) -> list[str]:
        """Return the texts of one input, which errors call `name`; `whole` where all their tokens are needed.

        Raises:
            InvalidArgument: no text, too many texts, a text that is too large, or one that is not UTF-8.
        """
        if not len(raw_texts):
            raise InvalidArgument(f"the request has no {name}s; at least one is expected")
        self.check_count(len(raw_texts), f"{name}s")
        texts = []
        for index, raw in enumerate(raw_texts):
            if len(raw) > self.max_bytes_per_text:
                raise InvalidArgument(
                    f"{name} {index} has {len(raw)} bytes; max_bytes_per_text is {self.max_bytes_per_text}"
                )
            if whole and len(raw) > MAX_WHOLE_BYTES:
                raise InvalidArgument(
                    f"{name} {index} has {len(raw)} bytes; {MAX_WHOLE_BYTES} is the most of a text that is read whole"
                )
            try:
                texts.append(raw.decode("utf-8"))
            except UnicodeDecodeError as error:
                raise InvalidArgument(
                    f"{name} {index} is not valid UTF-8: {error.reason} at byte {error.start} "
                    f"(0x{raw[error.start]:02x})"
                ) from None
        return texts

    def check_count(self, count: int, what: str) -> None:
        """Refuse more than `max_texts_per_request`."""
        if count > self.max_texts_per_request:
            raise InvalidArgument(
                f"the request has {count} {what}; max_texts_per_request is {self.max_texts_per_request}"
            )


def estimated_tokens(text: str | bytes) -> int:
    """Return roughly how many tokens a text has that was not tokenized yet, with its share of the special ones."""
    return len(text) // 4 + 2
