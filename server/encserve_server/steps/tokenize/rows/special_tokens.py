"""The special tokens that a tokenizer puts around a text, or around and between the two of a pair."""

from __future__ import annotations

from dataclasses import dataclass

from tokenizers import Encoding, Tokenizer

_SAMPLE = "a"


@dataclass(frozen=True)
class SpecialTokens:
    """The special tokens in a row, and the token types of everything in it. Without a second text, `between` is
    empty."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    before_types: tuple[int, ...]
    first_type: int
    between_types: tuple[int, ...]
    second_type: int
    after_types: tuple[int, ...]

    @property
    def size(self) -> int:
        """Return the number of tokens that are no text."""
        return len(self.before) + len(self.between) + len(self.after)


def special_tokens_of_text(tokenizer: Tokenizer) -> SpecialTokens:
    """Return the special tokens around a single text."""
    return _read(tokenizer.encode(_SAMPLE), tokenizer.encode(_SAMPLE, add_special_tokens=False), None)


def special_tokens_of_pair(tokenizer: Tokenizer) -> SpecialTokens:
    """Return the special tokens around and between the texts of a pair."""
    bare = tokenizer.encode(_SAMPLE, add_special_tokens=False)
    return _read(tokenizer.encode(_SAMPLE, _SAMPLE), bare, bare)


def _read(whole: Encoding, first: Encoding, second: Encoding | None) -> SpecialTokens:
    ids, types, sequences = whole.ids, whole.type_ids, whole.sequence_ids
    begin = sequences.index(0) if 0 in sequences else len(ids)
    middle = begin + len(first.ids)
    resume = sequences.index(1) if 1 in sequences else middle
    end = resume + (len(second.ids) if second else 0)
    expected = [*ids[:begin], *first.ids, *ids[middle:resume], *(second.ids if second else ()), *ids[end:]]
    if ids != expected:
        raise ValueError("the tokenizer does more than put special tokens around and between texts")
    return SpecialTokens(
        before=tuple(ids[:begin]),
        between=tuple(ids[middle:resume]),
        after=tuple(ids[end:]),
        before_types=tuple(types[:begin]),
        first_type=types[begin],
        between_types=tuple(types[middle:resume]),
        second_type=types[resume] if second else 0,
        after_types=tuple(types[end:]),
    )
