"""Texts that clients send as ids of OpenAI's tokens, as LangChain does by default: decoded, where their vocabulary is
at hand, and never read as ids of another model."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from encserve import InvalidInput

FRAMES = frozenset({(101, 102), (0, 2)})
"""First and last id of a text in the vocabularies of BERT and of RoBERTa. A client that sends such ids has cut its
texts with an encoder's tokenizer. OpenAI's own tokens of a text that begins with "!" and ends with "#" look so too, and
are refused as well: it is better to refuse a text than to take one for another."""


class Vocabulary:
    """The bytes of each token, by its id.

    Args:
        tokens: id -> bytes.
    """

    def __init__(self, tokens: dict[int, bytes]) -> None:
        self._tokens = tokens

    def __len__(self) -> int:
        return len(self._tokens)

    def text_of(self, ids: Sequence[int]) -> str:
        """The text that was cut into these tokens.

        A client that cuts a long text by its tokens may cut a character in two; what is left of it at either end is
        dropped.

        Raises:
            ValueError: an id is none of the vocabulary, the ids are framed as an encoder's are, or they are no text.
                The message has none of them.
        """
        if len(ids) > 1 and (ids[0], ids[-1]) in FRAMES:
            raise ValueError("ids that begin and end as those of an encoder's tokenizer")
        try:
            data = b"".join([self._tokens[number] for number in ids])
        except KeyError:
            raise ValueError("an id that the vocabulary does not have") from None
        begin = next((n for n, byte in enumerate(data[:3]) if byte & 0xC0 != 0x80), min(len(data), 3))
        try:
            return data[begin:].decode()
        except UnicodeDecodeError as error:
            if error.reason != "unexpected end of data":
                raise ValueError("ids whose bytes are no text") from None
            return data[begin : begin + error.start].decode()


@cache
def read_vocabulary(file: Path) -> Vocabulary:
    """The vocabulary of a file in tiktoken's form, such as `cl100k_base.tiktoken`: on each line a token in base64 and
    its id.

    Raises:
        InvalidInput: the file cannot be read, or has another form.
    """
    try:
        lines = [line.split() for line in file.read_bytes().splitlines() if line.strip()]
        tokens = {int(number): base64.b64decode(token, validate=True) for token, number in lines}
    except OSError as error:
        raise InvalidInput(f"the vocabulary in {file} cannot be read: {error.strerror}") from error
    except (ValueError, binascii.Error) as error:
        form = "on each line a token in base64, and its id"
        raise InvalidInput(f"{file} is no vocabulary in tiktoken's form: {form}") from error
    if not tokens:
        raise InvalidInput(f"{file} has no tokens")
    return Vocabulary(tokens)
