"""What a reader wants to know first."""

from __future__ import annotations

from encserve_pages.page import Line

from .bounds import Bounded
from .cost import Reembedding
from .embeddings import EmbeddingComparison
from .labels import LabelComparison

ALPHA = 0.05


def of_embeddings(found: EmbeddingComparison, moved: Reembedding) -> list[Line]:
    """The findings about vectors, the most important first."""
    asked = f"of {len(found.search.queries):,} queries in {len(found.search.texts.texts):,} texts"
    lines = [
        Line("index", "keep it" if found.same_space else "make it anew", _space(found)),
        Line("same first text", f"{found.first.value:.1%}", f"{_ends(found.first)}; {asked}"),
        Line("same first ten", f"{found.overlap.value:.1%}", f"{_ends(found.overlap)}; other texts are not worse ones"),
        Line("rank-biased overlap", f"{found.rbo.value:.1%}", f"{_ends(found.rbo)}; of the first hundred"),
        Line("a million texts anew", _duration(moved.seconds), _price(moved)),
    ]
    if found.gain:
        old, new, difference = found.gain
        lines.insert(1, Line("nDCG@10", f"{old.value:.3f} -> {new.value:.3f}", _told(difference)))
    return lines


def of_labels(found: LabelComparison) -> list[Line]:
    """The findings about labels."""
    median, largest = found.leads
    lines = [
        Line("same label", f"{found.same.value:.1%}", f"{_ends(found.same)}; of {found.texts:,} texts"),
        Line(
            "leads of what changed", f"{median:.3f} / {largest:.3f}", "median and largest, by the old pipeline's scores"
        ),
        Line("scores", f"{found.difference:.3f}", "the largest difference of a label that both have"),
    ]
    if found.quality and found.exact_p is not None:
        old, new = found.quality
        sure = "too few differ to tell which is better" if found.exact_p >= ALPHA else "one is better than the other"
        lines.insert(
            0,
            Line(
                "accuracy",
                f"{old.accuracy.value:.3f} -> {new.accuracy.value:.3f}",
                f"{sure} (exact p {found.exact_p:.2g})",
            ),
        )
    return lines


def _space(found: EmbeddingComparison) -> str:
    if found.cosine is None:
        return "the vectors differ in length"
    mean, least = found.cosine
    words = (
        "vectors of both may stand side by side" if found.same_space else "vectors of both must not stand in one index"
    )
    return f"{words}: cosine of a text's two vectors {mean:.4f} on average, {least:.4f} at least"


def _told(difference: Bounded) -> str:
    words = "better" if difference.low > 0 else "worse" if difference.high < 0 else "too few queries differ to tell"
    return f"{words}: difference {difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"


def _ends(bounded: Bounded) -> str:
    return f"95 % interval {bounded.low:.1%} to {bounded.high:.1%}"


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 5_400 else f"{seconds / 60:.1f} min"


def _price(moved: Reembedding) -> str:
    price = "" if moved.cost is None else f", for {moved.cost:,.2f}"
    return f"on one replica{price}, at {moved.tokens_per_text:.0f} tokens a text; the speed is from {moved.source}"
