"""The pieces of a text, each looked up in the list of a checkpoint: also those that SentencePiece does not know."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

from ...instance.settings import check_sha256
from .cutting import Cut, Joined, Likeliest
from .normalization import SPACE, Normalization

FILE = "pieces.json"
_CUTS: Mapping[str, Any] = {"unigram": Likeliest, "bpe": Joined}


@dataclass(frozen=True)
class Listed:
    """The tokens of a text."""

    tokens: list[str]
    ids: list[int]

    def __len__(self) -> int:
        return len(self.ids)


class ListedPieces:
    """Reads texts. Any number of threads may.

    Args:
        described: what `FILE` says: `cut` (unigram or bpe), `scores` (piece -> score), `replacements`, `adds_space`,
            `drops_spaces`, `apart` (the tokens that are found in texts as they are written), `codes` (whether a text
            may begin with a `>>code<<` of its own), `ids` (piece -> id), `unknown` (the id of all others).
    """

    def __init__(self, described: Mapping[str, Any]) -> None:
        self._scores: dict[str, float] = described["scores"]
        self._cut: Cut = _CUTS[described["cut"]](self._scores)
        self.normalizer = Normalization(
            described["replacements"], adds_space=described["adds_space"], drops_spaces=described["drops_spaces"]
        )
        self._ids: dict[str, int] = described["ids"]
        self._unknown: int = described["unknown"]
        self._codes: bool = described["codes"]
        self._apart = set(described["apart"])
        longest_first = sorted(self._apart, key=len, reverse=True)
        self._split = re.compile(f"({'|'.join(map(re.escape, longest_first))})") if longest_first else None

    @classmethod
    def in_folder(cls, folder: Path, settings: Mapping[str, Any]) -> ListedPieces | None:
        """Return those of a version; None where its tokenizer reads texts by itself.

        Raises:
            ValueError: the file is not the certified one.
        """
        digest = settings.get("pieces_sha256")
        if digest is None:
            return None
        check_sha256(folder / FILE, digest)
        return cls(json.loads((folder / FILE).read_text(encoding="utf-8")))

    @cached_property
    def words_stay_apart(self) -> bool:
        """Whether a text may be cut before a word: no piece and no token goes on behind a space in it, a word has one
        space before it wherever it stands, and nothing far behind decides how a text begins, as `<<` after `>>` does.
        """
        reach = any(SPACE in piece.lstrip(SPACE) for piece in self._scores) or any(" " in each for each in self._apart)
        return not reach and self.normalizer.puts_one_space and not self._codes

    @property
    def adds_up(self) -> bool:
        """Whether the pieces of a word hang on the sums of scores before it, which are rounded."""
        return isinstance(self._cut, Likeliest)

    def encode(self, texts: Sequence[str]) -> list[Listed]:
        """Return the tokens of texts, without special ones around them."""
        return [self._encode(text) for text in texts]

    def _encode(self, text: str) -> Listed:
        tokens: list[str] = []
        for part in self._split.split(text) if self._split else [text]:
            if part in self._apart:
                tokens.append(part)
            elif part:
                tokens += self._pieces(part)
        return Listed(tokens, [self._ids.get(token, self._unknown) for token in tokens])

    def _pieces(self, text: str) -> list[str]:
        code: list[str] = []
        if self._codes and text.startswith(">>") and (end := text.find("<<")) != -1:
            code, text = [text[: end + 2]], text[end + 2 :]
        pieces = code
        cut = self._cut(self.normalizer.apply(text))
        for is_known, run in groupby(cut, key=self._scores.__contains__):
            found = list(run)
            pieces += found if is_known else ["".join(found)]
        return pieces
