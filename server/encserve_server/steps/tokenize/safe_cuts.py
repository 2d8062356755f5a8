"""Where a text can be cut so that the tokens of its two parts are those of the whole, whatever else it holds.

Two places are known. One is before a single space between letters or digits. The space is no part of a longer run, no
normal form joins it with what stands before it (UAX #15), and no grapheme ends beyond it (UAX #29), so normalization
treats the parts apart; splitting into words begins a word, or drops the space, exactly there; and models see one word
at a time. The other is between two Chinese characters, where BERT's normalization puts spaces around each. What a
tokenizer does is read from its own description; with anything that is not known here, no place is safe.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from .listed.pieces import ListedPieces

_BLOCK = 1024  # characters that are searched at a time
_BESIDE_SPACE = r"(?<=[^\W_])(?<![\u0d4e\U00010000-\U0010ffff])(?= [^\W_])"  # letters that join what follows left out
_CHINESE = "[\u4e00-\u9fff]"
_LOCAL_NORMALIZERS = {"NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "Precompiled", "BertNormalizer"}
_LOCAL_SPLITS = {"Digits", "Punctuation"}
_SPLITS_AT_SPACES = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}
_COLLAPSING = {" {2,}", r"\s{2,}", r"\s+", r"\s{2,}|[\n\r\t]"}
"""Patterns that leave a single space alone, or replace it by itself."""
_WORDS = {
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    *(
        rf"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|"
        r"\s*[\r\n]+|\s+(?!\S)|\s+"
        for digits in (r"\p{N}", r"\p{N}{1,3}")
    ),
}
"""Patterns of GPT-2, Qwen and Llama 3: none matches across a letter or digit and the space after it."""


@dataclass(frozen=True)
class SafeCuts:
    """The safe places of one tokenizer."""

    tokenizer: Tokenizer | ListedPieces
    places: re.Pattern[str]
    """A pattern that matches, without any characters, at a place that may be safe."""
    from_end: bool = True
    """Whether what stands behind a place has the tokens of the whole, too, and not only what stands before it."""

    def first(self, text: str, begin: int, end: int) -> int | None:
        """Return the first safe place from `begin` to `end`, as an index into `text`."""
        for block in range(begin, end, _BLOCK):
            for place in self._places(text, block, min(end, block + _BLOCK)):
                return place
        return None

    def last(self, text: str, begin: int, end: int) -> int | None:
        """Return the last place from `begin` to `end` behind which a text can be read alone, as an index into it."""
        if not self.from_end:
            return None
        for block in range(end, begin, -_BLOCK):
            found = list(self._places(text, max(begin, block - _BLOCK), block))
            if found:
                return found[-1]
        return None

    def _places(self, text: str, begin: int, end: int) -> Iterator[int]:
        start = max(0, begin - 1)  # a place is known by the character before it and the two behind
        for match in self.places.finditer(text[start : end + 1]):
            place = start + match.start()
            if begin <= place < end and (text[place] != " " or self._keeps(text[place - 1], text[place + 1])):
                yield place

    def _keeps(self, before: str, after: str) -> bool:
        """Return whether normalization leaves a letter or digit on either side of the space."""
        normalizer = self.tokenizer.normalizer
        if normalizer is None:
            return True
        left, right = normalizer.normalize_str(before), normalizer.normalize_str(after)
        whole: str = normalizer.normalize_str(f"{before} {after}")
        return left[-1:].isalnum() and right[:1].isalnum() and whole == f"{left} {right}"


def safe_cuts_of(tokenizer: Tokenizer) -> SafeCuts | None:
    """Return the safe places of a tokenizer; None where none is known."""
    normalizers = _parts(tokenizer.normalizer, "normalizers")
    splits = _parts(tokenizer.pre_tokenizer, "pretokenizers")
    if getattr(tokenizer.model, "dropout", None) or not (
        all(map(_is_local, normalizers)) and _splits_at_spaces(splits) and _added_tokens_stay_apart(tokenizer)
    ):
        return None
    chinese = [part.get("handle_chinese_chars") for part in normalizers] == [True] and splits[0]["type"] in (
        "BertPreTokenizer",
        "WhitespaceSplit",
    )
    if chinese and not any(re.search(_CHINESE, token.content) for token in _added_tokens(tokenizer)):
        return SafeCuts(tokenizer, re.compile(f"{_BESIDE_SPACE}|(?<={_CHINESE})(?={_CHINESE})"))
    return SafeCuts(tokenizer, re.compile(_BESIDE_SPACE))


def safe_cuts_of_pieces(pieces: ListedPieces) -> SafeCuts | None:
    """Return the safe places of pieces that are looked up in a list; None where none is known.

    The likeliest pieces of the end of a text are no others than those of the whole but for rounding: sums from the
    beginning on are rounded to 32 bits, and of two ways to cut a word that are nearly as likely another one is taken.
    """
    if not pieces.words_stay_apart:
        return None
    return SafeCuts(pieces, re.compile(_BESIDE_SPACE), from_end=not pieces.adds_up)


def _parts(step: Any, name: str) -> list[dict[str, Any]]:
    """Return what a normalizer or pre-tokenizer does, one after another, as `tokenizer.json` describes it."""
    if step is None:
        return []
    try:
        described = json.loads(step.__getstate__())
    except Exception:  # made of code, which has no description
        return [{"type": "code"}]
    return _flat(described, name)


def _flat(part: dict[str, Any], name: str) -> list[dict[str, Any]]:
    if part["type"] != "Sequence":
        return [part]
    return [inner for each in part[name] for inner in _flat(each, name)]


def _is_local(part: Mapping[str, Any]) -> bool:
    if part["type"] == "Strip":
        return not part["strip_left"]
    if part["type"] == "Replace":
        pattern = part["pattern"]
        if "Regex" in pattern:
            return pattern["Regex"] in _COLLAPSING
        return not re.search(r"\s", pattern["String"])
    return part["type"] in _LOCAL_NORMALIZERS


def _splits_at_spaces(parts: list[dict[str, Any]]) -> bool:
    split = False
    for part in parts:
        kind = part["type"]
        if kind in _SPLITS_AT_SPACES or part.get("use_regex") or (kind == "Metaspace" and part["split"]):
            split = True
        elif kind == "Split" and part["pattern"].get("Regex") in _WORDS:
            if part["behavior"] not in ("Isolated", "Removed") or part["invert"] != (part["behavior"] == "Removed"):
                return False
            split = True
        elif kind not in _LOCAL_SPLITS and not (kind == "ByteLevel" and split):
            return False
    return split


def _added_tokens(tokenizer: Tokenizer) -> list[Any]:
    return list(tokenizer.get_added_tokens_decoder().values())


def _added_tokens_stay_apart(tokenizer: Tokenizer) -> bool:
    """Return whether no token that is found in the bare text can reach across a space, or look across it."""
    for token in _added_tokens(tokenizer):
        forms = {token.content}
        if token.normalized and tokenizer.normalizer is not None:
            forms.add(tokenizer.normalizer.normalize_str(token.content))
        for form in forms:
            if re.search(r"\S\s", form) or (token.single_word and form[:1].isspace()):
                return False
            if token.rstrip and form[-1:].isalnum():
                return False
    return True
