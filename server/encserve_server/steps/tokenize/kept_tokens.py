"""The tokens of the end of a text that truncation keeps, at a cost that does not grow with the text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tokenizers import Encoding

from ..request.options import InvalidArgument
from .limits import MAX_WHOLE_BYTES
from .safe_cuts import SafeCuts

COUNTED_CHARACTERS = 16_384
"""The characters up to which a text is tokenized whole, so that the number of its tokens is exact."""
_FIRST_WINDOW = 4_096  # characters
_CHARACTERS_PER_TOKEN = 8  # of the first window; English has 4 to 5

Encode = Callable[[list[str]], Sequence[Encoding]]


@dataclass(frozen=True)
class Wanted:
    """A text, and what of it is to be tokenized."""

    text: str
    room: int | None
    """The number of tokens that can be kept: one more than these is enough to know. None for all."""
    from_end: bool = False
    """Whether the end of the text is kept, and not its start."""
    name: str = "text"
    """The name of the text in errors."""


@dataclass(frozen=True)
class Tokens:
    """The tokens of a text without special ones, or more of those at one end than can be kept."""

    encoding: Encoding
    shift: int = 0
    """The characters of the text before the first that was tokenized."""
    whole: bool = True
    """Whether these are all of its tokens."""

    def __len__(self) -> int:
        return len(self.encoding)

    @property
    def ids(self) -> list[int]:
        """Return the ids of the tokens, in order."""
        ids: list[int] = self.encoding.ids
        return ids

    @property
    def tokens(self) -> list[str]:
        """Return the tokens as the vocabulary writes them."""
        tokens: list[str] = self.encoding.tokens
        return tokens

    @property
    def word_ids(self) -> list[int | None]:
        """Return the word of each token, counted within what was tokenized."""
        words: list[int | None] = self.encoding.word_ids
        return words

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """Return where each token begins and ends in the whole text, (characters)."""
        offsets: list[tuple[int, int]] = self.encoding.offsets
        return [(begin + self.shift, end + self.shift) for begin, end in offsets] if self.shift else offsets

    def count(self, more: int = 0) -> str:
        """Return the number of tokens, with `more` beside them, in words that stay true where some were not
        tokenized."""
        return f"{len(self) + more}" if self.whole else f"at least {len(self) + more}"


def keep_tokens(wanted: Sequence[Wanted], encode: Encode, cuts: SafeCuts | None) -> list[Tokens | InvalidArgument]:
    """Return the tokens of each text, or the error that refuses it. Windows grow until they hold more tokens than can
    be kept.

    The tokens of a window are a prefix, or a suffix, of those of the whole text, as it ends at a safe cut.
    """
    answers: dict[int, Tokens | InvalidArgument] = {}
    sizes = {index: _first_size(each, cuts) for index, each in enumerate(wanted)}
    while sizes:
        windows: list[tuple[int, int, int]] = []
        for index, size in sizes.items():
            found = _window(wanted[index], size, cuts)
            if isinstance(found, InvalidArgument):
                answers[index] = found
            else:
                windows.append((index, *found))
        encodings = encode([wanted[index].text[begin:end] for index, begin, end in windows])
        sizes = {}
        for (index, begin, end), encoding in zip(windows, encodings, strict=True):
            each = wanted[index]
            whole = end - begin == len(each.text)
            if whole or each.room is None or len(encoding) > each.room:
                answers[index] = Tokens(encoding, begin, whole)
            else:
                sizes[index] = 2 * (end - begin)
    return [answers[index] for index in range(len(wanted))]


def _first_size(wanted: Wanted, cuts: SafeCuts | None) -> int:
    """Return the characters of the first window."""
    size = len(wanted.text)
    if cuts is None or wanted.room is None:
        return size
    first = max(_FIRST_WINDOW, _CHARACTERS_PER_TOKEN * (wanted.room + 1))
    return size if size <= max(COUNTED_CHARACTERS, 2 * first) else first


def _largest(room: int) -> int:
    """Return the characters of the largest window."""
    return max(MAX_WHOLE_BYTES, 4 * _CHARACTERS_PER_TOKEN * (room + 1))


def _window(wanted: Wanted, size: int, cuts: SafeCuts | None) -> tuple[int, int] | InvalidArgument:
    """Return where a window of at least `size` characters begins and ends, or why there is none."""
    total = len(wanted.text)
    if cuts is None or wanted.room is None or size >= total:
        return 0, total
    largest = _largest(wanted.room)
    if wanted.from_end:
        place = cuts.last(wanted.text, max(0, total - largest), total - size)
    else:
        place = cuts.first(wanted.text, size, min(total, largest))
    if place is not None:
        return (place, total) if wanted.from_end else (0, place)
    if total <= largest:
        return 0, total
    return InvalidArgument(
        f"{wanted.name} has {total} characters, and the {'last' if wanted.from_end else 'first'} {largest} of them "
        f"hold no place to cut it that leaves {wanted.room + 1} tokens"
    )
