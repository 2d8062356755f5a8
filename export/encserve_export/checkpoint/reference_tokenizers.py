"""Tokenizers as they were first published, in plain Python: what a converted tokenizer is compared with.

A checkpoint without `tokenizer.json` holds the files of an older tokenizer, and transformers converts them to the fast
form that is served. The conversion is code, one piece for each family, and not every piece keeps the tokens.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import regex
from transformers import PreTrainedTokenizerBase
from transformers.convert_slow_tokenizer import bytes_to_unicode
from transformers.models.bert.tokenization_bert_legacy import BasicTokenizer, WordpieceTokenizer

from encserve_export.errors import Unsupported

DIFFICULT_TEXTS = {
    "no text": "",
    "several spaces": "  several   spaces  between and    around  ",
    "mixed line ends": "one\ttab\n\nunix\r\nwindows\rold mac\n",
    "emoji": "ok 👍🏽 👩‍👩‍👧 🇫🇷! ❤️ ☺",
    "combining marks": "e\u0301le\u0300ve man\u0303ana A\u030angstro\u0308m Z\u0351\u036ba\u0300\u0301lgo",
    "Chinese, Japanese, Korean": "国際宇宙ステーション 서울의 겨울은 춥고 中文，标点。",
    "wide and narrow forms": "ＡＢＣ１２３　（テスト）ﾊﾝｶｸ",
    "right to left": "مكتبة المدينة, ספרייה עירונית \u200fabc\u200e",
    "South Asian": "हिन्दी ภาษาไทย தமிழ்",
    "control characters": "a\x00b\x01c\x1bd\x7fe\ufefff",
    "invisible characters": "zero\u200bwidth\u200djoin soft\u00adhyphen",
    "spaces of other kinds": "a\u00a0b\u3000c\u2009d\u2028e",
    "a very long word": "x" * 300 + " " + "pneumono" * 40,
    "compatibility characters": "ﬁne ½ ① Ⅷ ™ ŉ",
    "case": "İstanbul STRASSE ẞ ΣΊΣΥΦΟΣ ǅ",
    "punctuation": "``it's'' “don’t” — 3.14!!! #tag @user <b> ##x a_b",
    "beyond the first plane": "𝔘𝔫𝔦 𠜎 \U0001f1e6",
    "digits": "1234567890 ٣٤٥ १२३ 1,000.50",
}
"""By what is difficult about them. U+0085 is left out: to every fast tokenizer it is a space, to SentencePiece it is
none."""

_SENTENCEPIECE_FILES = (
    "sentencepiece.bpe.model",
    "sentencepiece.model",
    "spiece.model",
    "spm.model",
    "tokenizer.model",
)
_GPT2_WORDS = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")

Tokenize = Callable[[str], list[str]]


def check_conversion(folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Compare `tokenizer`, which was converted from files in `folder`, with the tokenizer that these files were made
    for, token by token on the difficult texts.

    Raises:
        Unsupported: the tokens of a text differ; the message names it.
    """
    reference = _reference(folder, tokenizer)
    if reference is None:
        return
    fast = tokenizer.backend_tokenizer
    for difficulty, text in DIFFICULT_TEXTS.items():
        expected = [tokenizer.convert_tokens_to_ids(token) for token in reference(text)]
        if fast.encode(text, add_special_tokens=False).ids != expected:
            raise Unsupported(
                f"{folder} has no tokenizer.json, and the conversion of its {type(tokenizer).__name__} by transformers "
                f"is not faithful: the tokens of {text!r} ({difficulty}) differ. Put a tokenizer.json beside the "
                "weights"
            )


def _reference(folder: Path, tokenizer: PreTrainedTokenizerBase) -> Tokenize | None:
    """The tokenizer of the files in `folder`; None where none of the three kinds is found."""
    for file in _SENTENCEPIECE_FILES:
        if (folder / file).is_file():
            return _sentencepiece(folder / file, tokenizer)
    kind = type(tokenizer.backend_tokenizer.model).__name__
    if kind == "WordPiece" and (folder / "vocab.txt").is_file():
        return _wordpiece(tokenizer)
    if kind == "BPE" and (folder / "merges.txt").is_file():
        return _byte_level_bpe(folder / "merges.txt", tokenizer)
    return None


def _sentencepiece(file: Path, tokenizer: PreTrainedTokenizerBase) -> Tokenize:
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(file))
    stated = tokenizer.init_kwargs
    accents = type(tokenizer).__name__ != "AlbertTokenizer" or stated.get("keep_accents", False)

    def tokenize(text: str) -> list[str]:
        if not accents:  # ALBERT's preparation of a text, of which dropping accents is the greater part
            text = text.replace("``", '"').replace("''", '"')
            text = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
        pieces: list[str] = processor.encode(text.lower() if stated.get("do_lower_case") else text, out_type=str)
        return pieces

    return tokenize


def _wordpiece(tokenizer: PreTrainedTokenizerBase) -> Tokenize:
    stated = tokenizer.init_kwargs
    words: Any = BasicTokenizer(  # type: ignore[no-untyped-call]
        do_lower_case=stated.get("do_lower_case", True),
        tokenize_chinese_chars=stated.get("tokenize_chinese_chars", True),
        strip_accents=stated.get("strip_accents"),
    )
    pieces: Any = WordpieceTokenizer(  # type: ignore[no-untyped-call]
        vocab=tokenizer.get_vocab(), unk_token=str(tokenizer.unk_token)
    )
    return lambda text: [piece for word in words.tokenize(text) for piece in pieces.tokenize(word)]


def _byte_level_bpe(merges_file: Path, tokenizer: PreTrainedTokenizerBase) -> Tokenize:
    lines = merges_file.read_text(encoding="utf-8").splitlines()
    merges = [tuple(line.split()) for line in lines if line and not line.startswith("#version")]
    rank = {pair: place for place, pair in enumerate(merges)}
    letter_of_byte = bytes_to_unicode()  # type: ignore[no-untyped-call]

    def tokenize(text: str) -> list[str]:
        if tokenizer.init_kwargs.get("add_prefix_space") and text[:1].strip():
            text = f" {text}"
        words = ["".join(letter_of_byte[byte] for byte in word.encode()) for word in _GPT2_WORDS.findall(text)]
        return [piece for word in words for piece in _merged(list(word), rank)]

    return tokenize


def _merged(pieces: list[str], rank: dict[tuple[str, ...], int]) -> list[str]:
    """Byte pair encoding of a word: join the pair of lowest rank, everywhere, until no pair has one (Sennrich 2016)."""
    while True:
        pairs = [pair for pair in pairwise(pieces) if pair in rank]
        if not pairs:
            return pieces
        best = min(pairs, key=rank.__getitem__)
        joined: list[str] = []
        for piece in pieces:
            if joined and (joined[-1], piece) == best:
                joined[-1] += piece
            else:
                joined.append(piece)
        pieces = joined
