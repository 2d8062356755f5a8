"""Texts of given lengths, of which a pipeline and a running server can be asked as of any others, and what counts of
them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import median

from transformers import PreTrainedTokenizerBase

from .figures.figure import Figure
from .figures.parity import LOGIT_FIGURES
from .limits import ParityLimits

_OF_VECTORS, _OF_LOGITS = ("cosine_min", "max_abs_diff"), ("max_abs_diff", "answers_max_abs_diff")
_PREFIX = "length_"
_GROWTH = f"{_PREFIX}growth"
LENGTH_FIGURES_OF_LOGITS = (*(f"{_PREFIX}{name}" for name in _OF_LOGITS if name in LOGIT_FIGURES), _GROWTH)
"""Those that no answer of a server shows."""
_SHORT_TOKENS = 64
"""Of the longest text that counts as short."""
_LITTLE = 1 / 20
"""Of the largest difference that the precision may make: what is smaller is rounding, and compared with nothing."""


def texts_of_lengths(tokenizer: PreTrainedTokenizerBase, text: str, lengths: Iterable[int]) -> list[str]:
    """Beginnings of `text` that are about so many tokens long, special ones included: each is cut where a token ends,
    which can leave another token than stood there."""
    encoded = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True)
    special = sum(encoded["special_tokens_mask"])
    marked = zip(encoded["offset_mapping"], encoded["special_tokens_mask"], strict=True)
    ends = [0, *(int(end) for (_, end), is_special in marked if not is_special)]
    wanted = (max(0, length - special) for length in lengths)
    return list(dict.fromkeys(text[: ends[min(tokens, len(ends) - 1)]] for tokens in wanted))


def length_figures(figures: Sequence[Figure]) -> list[Figure]:
    """Of the figures on such texts those of the worst text, under names of their own: a length is right or wrong by
    itself, and means and shares would hide one among many."""
    counted = _OF_VECTORS if any(figure.name == "cosine_min" for figure in figures) else _OF_LOGITS
    return [replace(figure, name=f"{_PREFIX}{figure.name}") for figure in figures if figure.name in counted]


def length_growth(differences: Mapping[int, float], token_counts: Sequence[int], limits: ParityLimits) -> list[Figure]:
    """How much larger the largest of the `differences` of long texts, by their number, is than the median of short
    ones; nothing where there are no long ones."""
    long = {text: value for text, value in differences.items() if token_counts[text] > _SHORT_TOKENS}
    short = [value for text, value in differences.items() if text not in long]
    if not short or not long:
        return []
    worst = max(long, key=lambda text: long[text])
    usual = max(median(short), limits.max_abs_diff * _LITTLE)
    return [Figure(_GROWTH, long[worst] / usual, limits.length_growth, worst_text=worst, texts=len(differences))]
