"""The comparison as one HTML file."""

from __future__ import annotations

from pathlib import Path

from encserve import InvalidInput
from encserve_pages.axis import Axis
from encserve_pages.chart import Chart
from encserve_pages.page import Figure, Figures, Part, Table, Verdict, render_page

from .cost import Reembedding
from .embeddings import Choice, EmbeddingComparison
from .labels import LabelComparison
from .reading import Texts
from .side import Side
from .verdict import of_embeddings, of_labels

LARGE = 3


def write(page: str, path: Path) -> None:
    """Write the page.

    Raises:
        InvalidInput: it cannot be written.
    """
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"the report {path} cannot be written: {error.strerror}") from error


def embeddings_page(sides: tuple[Side, Side], found: EmbeddingComparison, moved: Reembedding) -> str:
    """What was found of two pipelines of vectors."""
    lines = of_embeddings(found, moved)
    parts: list[Part] = [
        Verdict(lines[:LARGE], lines[LARGE:]),
        Figures([_front(found)]),
        Table(
            "By length and script of the query",
            ["queries", "number", "same first text", "same first ten"],
            [[each.name, f"{each.first.count:,}", str(each.first), str(each.overlap)] for each in found.groups],
        ),
        Table(
            "Thresholds of similarity",
            ["old", "new", "share of pairs that reach it"],
            [[f"{each.old:.4f}", f"{each.new:.4f}", f"{each.above:.2%}"] for each in found.thresholds],
        ),
        Table(
            f"Forms of the vectors, by {_worth(found)}",
            ["form", "bytes a vector", "GB a million", _worth(found)],
            [
                [each.title, f"{each.form.bytes:,.0f}", f"{each.form.bytes / 1e3:.2f}", str(each.quality)]
                for each in found.choices
            ],
        ),
    ]
    return render_page(_title(sides), _about(sides, found.search.texts), parts)


def labels_page(sides: tuple[Side, Side], texts: Texts, found: LabelComparison) -> str:
    """What was found of two classifiers."""
    lines = of_labels(found)
    parts: list[Part] = [Verdict(lines[:LARGE], lines[LARGE:])]
    if found.quality:
        parts += [_quality_table(found), Figures([_reliability(found)])]
    parts += [
        Table(
            "Labels that changed",
            ["from", "to", "texts", "median lead of the old label"],
            [[each.old, each.new, f"{each.count:,}", f"{each.median_lead:.3f}"] for each in found.changes],
        ),
        Table(
            "By length and script of the text",
            ["texts", "number", "same label"],
            [[name, f"{each.count:,}", str(each)] for name, each in found.groups],
        ),
    ]
    return render_page(_title(sides), _about(sides, texts), parts)


def _title(sides: tuple[Side, Side]) -> str:
    return f"{sides[0].title} and {sides[1].title}"


def _about(sides: tuple[Side, Side], texts: Texts) -> str:
    named = (f"{side.role}: {side.pipeline.name}, certificate {side.pipeline.certificate[:12]}" for side in sides)
    repeated = f", {texts.repeated:,} repeated ones left out" if texts.repeated else ""
    return f"{'; '.join(named)}. {len(texts.texts):,} distinct texts{repeated}; intervals are of 95 %."


def _worth(found: EmbeddingComparison) -> str:
    return "nDCG@10" if found.gain else "same first ten"


def _front(found: EmbeddingComparison) -> Figure:
    """Quality over the size of a vector, and the forms that no other beats in both."""
    sizes, worth = [each.form.bytes for each in found.choices], [each.quality.value for each in found.choices]
    low = max(0.0, min(worth) - 0.05)
    chart = Chart(
        x=Axis.over("bytes a vector", sizes, log=True),
        y=Axis(label=_worth(found), low=low, high=1.0 if max(worth) > 0.9 else max(worth) * 1.05),
    )
    best = sorted((each for each in found.choices if not _beaten(each, found)), key=lambda each: each.form.bytes)
    chart.line([(each.form.bytes, each.quality.value) for each in best], "fit", "no smaller form is as good")
    for index, title in enumerate(dict.fromkeys(each.side for each in found.choices)):
        dots = [
            (each.form.bytes, each.quality.value, f"{each.title}: {each.quality}")
            for each in found.choices
            if each.side == title
        ]
        chart.dots(dots, f"series-{index}", title)
    caption = (
        "Each dot is a form that the pipeline serves: floats, int8 or bits, whole or shortened. Shortened vectors are "
        "for models that were trained for it."
    )
    return Figure("Cost against quality", chart.render(), caption)


def _beaten(choice: Choice, found: EmbeddingComparison) -> bool:
    """Whether another form is as small and as good, and better in one of the two."""
    mine = (choice.form.bytes, -choice.quality.value)
    others = ((each.form.bytes, -each.quality.value) for each in found.choices)
    return any(other != mine and other[0] <= mine[0] and other[1] <= mine[1] for other in others)


def _quality_table(found: LabelComparison) -> Table:
    rows = [
        [
            each.title,
            str(each.accuracy),
            f"{each.macro_f1:.3f}",
            f"{each.calibration_error:.3f}",
            f"{each.error_by_chance:.3f}",
        ]
        for each in found.quality or ()
    ]
    heads = ["pipeline", "accuracy", "macro-F1", "calibration error", "by chance up to (95 %)"]
    return Table("Against the right labels", heads, rows)


def _reliability(found: LabelComparison) -> Figure:
    chart = Chart(
        x=Axis(label="mean score of the first label", low=0, high=1), y=Axis(label="share that is right", low=0, high=1)
    )
    chart.line([(0, 0), (1, 1)], "fit dashed", "scores that are probabilities")
    for index, each in enumerate(found.quality or ()):
        points = [(part.confidence, part.right.value) for part in each.bins]
        chart.line(points, f"series-{index}", each.title)
        for part in each.bins:
            chart.line([(part.confidence, part.right.low), (part.confidence, part.right.high)], f"series-{index} faint")
    return Figure(
        "Reliability", chart.render(), "A tenth of the texts at each point, with the 95 % interval of their share."
    )
