"""Texts to send, of given lengths in tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from encserve_loadtest.traffic.corpus import Lengths

WORDS = (
    *("the", "of", "water", "time", "people", "world", "house", "city", "day", "book", "school", "music", "light"),
    *("river", "land", "air", "family", "food", "car", "sea", "hand", "door", "night", "road", "field", "tree", "fish"),
    *("king", "story", "game", "line", "sun", "war", "art", "paper", "body", "table", "hill", "voice", "wind"),
)
"""Words so common that tokenizers know each as one token; `Filler` measures whether this one does."""

PROBES = (4, 12)
"""Words in the two texts whose tokens tell how this tokenizer counts."""


def probe_texts() -> list[str]:
    """The texts whose token counts `Filler.from_counts` wants."""
    return [" ".join(WORDS[:words]) for words in PROBES]


@dataclass(frozen=True, kw_only=True)
class Filler:
    """Makes texts of a wanted length for one tokenizer."""

    tokens_per_word: float
    special_tokens: float
    """Tokens that the tokenizer adds to every text."""

    @classmethod
    def from_counts(cls, counts: Sequence[int]) -> "Filler":
        """From the token counts of `probe_texts`."""
        per_word = (counts[1] - counts[0]) / (PROBES[1] - PROBES[0])
        return cls(tokens_per_word=per_word, special_tokens=counts[0] - PROBES[0] * per_word)

    def texts(self, lengths: Lengths, rng: np.random.Generator) -> list[str]:
        """One text for each of `lengths`; none is empty."""
        words = np.rint((lengths - self.special_tokens) / self.tokens_per_word).astype(np.int64)
        return [" ".join(rng.choice(WORDS, max(1, count))) for count in words.tolist()]


def grouped(texts: Sequence[str], *, per_request: int) -> list[list[str]]:
    """The texts in requests of `per_request`, starting over where the last request would not be full."""
    requests = -(-len(texts) // per_request)
    return [
        [texts[index % len(texts)] for index in range(request * per_request, (request + 1) * per_request)]
        for request in range(requests)
    ]


LENGTH_CLASSES = {"short": 16, "medium": 64}
"""Class -> the most words of a text in it; beyond the last a text is long."""


def length_class(words: int) -> str:
    """What a text of so many words is called in a load test: "short", "medium" or "long"."""
    return next((name for name, most in LENGTH_CLASSES.items() if words <= most), "long")


def padding_share(lengths: Lengths, texts_per_batch: float) -> float:
    """The share of a batch that would be padding, if each text were padded to the longest of its batch.

    Of n texts drawn from `lengths` the longest has the distribution F(x) ** n; so 1 - mean / E[longest].
    """
    values, counts = np.unique(lengths, return_counts=True)
    below = np.cumsum(counts) / len(lengths)  # F
    longest = float(np.sum(values * np.diff(below ** max(1.0, texts_per_batch), prepend=0.0)))
    return 1 - float(lengths.mean()) / longest
