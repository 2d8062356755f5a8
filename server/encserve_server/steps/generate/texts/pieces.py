"""Tokens to the pieces of a text that they complete, up to a string at which the text stops."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream


class Pieces:
    """The text that is made of one text's tokens, piece by piece. All pieces together are the whole text."""

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)
        self._tokens: list[int] = []
        self._stops = tuple(stops)
        self._held = max(map(len, self._stops), default=1) - 1
        """So many characters wait, since a stop may begin among them."""
        self._text, self._told = "", 0
        self.stopped = False
        """Whether the text has reached one of the strings at which it stops."""

    @property
    def may_stop(self) -> bool:
        """Whether there are strings at which the text stops."""
        return bool(self._stops)

    def add(self, token: int) -> str:
        """Return what may be told of the text now that it has one more token; empty where that is nothing new. A
        character whose bytes are not all there waits."""
        self._tokens.append(token)
        self._text += self._stream.step(self._tokenizer, token) or ""
        return self._stop() if self._stops else self._tell(len(self._text))

    def end(self) -> str:
        """Return the last piece, with all that waited."""
        if not self.stopped:
            whole: str = self._tokenizer.decode(self._tokens, skip_special_tokens=True)
            if whole.startswith(self._text):  # but for bytes that are no character, and never became one
                self._text = whole
        return self._tell(len(self._text))

    def _stop(self) -> str:
        found = [place for place in map(self._text.find, self._stops) if place >= 0]
        if found:
            self.stopped, self._text = True, self._text[: min(found)]
        return self._tell(len(self._text) - (0 if found else self._held))

    def _tell(self, end: int) -> str:
        piece = self._text[self._told : max(end, self._told)]
        self._told += len(piece)
        return piece
