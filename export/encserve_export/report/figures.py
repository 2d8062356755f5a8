"""What the certificates of some pipelines say, drawn: errors by length and by layer, sizes and speeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from encserve_export.checkpoint.tasks.table import GENERATION
from encserve_export.publication.siblings import Published, graph_megabytes
from encserve_pages.axis import Axis
from encserve_pages.bars import Bar, render_bars
from encserve_pages.chart import Chart, Point
from encserve_pages.page import Figure

from .generation import generation_figures

_FLOOR = 1e-9
"""Errors below are drawn here: a logarithmic axis has no zero."""
_MOST_DOTS = 300
"""Of more texts only the worst of each length is drawn, which keeps the page small."""
_COLOURS = 6
"""Of the style of pages."""


def figures(siblings: Sequence[Published]) -> Iterator[Figure]:
    """The figures for which there is data; each pipeline has one colour in all of them."""
    if siblings[0].manifest["task"] == GENERATION.name:
        yield from generation_figures(siblings, [_colour(index) for index in range(len(siblings))])
    else:
        yield error_by_length(siblings)
    if any(_layers_of(each) for each in siblings):
        yield error_by_layer(siblings)
    yield sizes(siblings)
    if speed := speeds(siblings):
        yield speed


def error_by_length(siblings: Sequence[Published]) -> Figure:
    """The largest error of each text against its length."""
    limit = siblings[0].manifest["parity"]["figures"]["max_abs_diff"]["limit"]
    points: dict[str, list[Point]] = {
        each.title: [
            (float(tokens), max(error, _FLOOR), f"{each.title}: {tokens} tokens, {error:.3g}")
            for tokens, error in _errors_of(each.manifest["parity"])
        ]
        for each in siblings
    }
    drawn = [point for some in points.values() for point in some]
    chart = Chart(
        x=Axis.over("length of the text, tokens (log)", [x for x, _, _ in drawn], log=True),
        y=Axis.over("largest difference (log)", [*(y for _, y, _ in drawn), limit], log=True),
    )
    for index, (title, some) in enumerate(points.items()):
        chart.dots(some, _colour(index), title, radius=3.2)
    chart.across(limit, "limit", f"limit of {siblings[0].manifest['precision']}")
    caption = (
        "Largest difference of any number from the checkpoint's: of vectors scaled to length 1, or of logits over the "
        f"largest of them. One dot for each text; of more than {_MOST_DOTS} texts, for the worst of each length."
    )
    return Figure("Error by text length", chart.render(), caption)


def _errors_of(parity: Mapping[str, Any]) -> list[tuple[int, float]]:
    """(tokens, largest difference) of the texts that are drawn."""
    errors = list(zip(parity["token_counts"], parity["max_abs_diff_by_text"], strict=True))
    return errors if len(errors) <= _MOST_DOTS else list(dict(sorted(errors)).items())


def error_by_layer(siblings: Sequence[Published]) -> Figure:
    """The error of each linear layer."""
    layers = [layer for each in siblings for layer in _layers_of(each)]
    longest = max(len(_layers_of(each)) for each in siblings)
    chart = Chart(
        x=Axis(label="linear layer, counted from the input", low=0, high=longest + 1.0),
        y=Axis.over("relative error (log)", [max(layer["error"], _FLOOR) for layer in layers], log=True),
    )
    for index, each in enumerate(siblings):
        own: list[Point] = []
        wider: list[Point] = []
        for number, layer in enumerate(_layers_of(each), start=1):
            words = f"{each.title}: {layer['layer']} in {layer['precision']}: {layer['error']:.3g}"
            place = own if layer["precision"] == each.manifest["precision"] else wider
            place.append((float(number), max(layer["error"], _FLOOR), words))
        chart.dots(own, _colour(index), each.title if own or wider else "", radius=3.2)
        chart.dots(wider, f"{_colour(index)} ring", radius=3.2)
    caption = (
        "Of each linear layer, from the input on: the largest difference from the same layer in FP32, over its largest "
        "output. Rings are layers that stay in a wider precision. OpenVINO does not show what is inside a network."
    )
    return Figure("Error by layer and its precision", chart.render(), caption)


def sizes(siblings: Sequence[Published]) -> Figure:
    """The size of each network, in MB."""
    megabytes = [graph_megabytes(each) for each in siblings]
    bars = [
        Bar(name=each.title, value=size, figure=f"{size:,.1f} MB", kind=_colour(index))
        for index, (each, size) in enumerate(zip(siblings, megabytes, strict=True))
    ]
    return Figure("Size", render_bars("size in MB", bars), "The network on disk.")


def speeds(siblings: Sequence[Published]) -> Figure | None:
    """The speed of each as a ratio, as its own export measured it; none where it was not measured. Only those that were
    measured against the same way are beside each other."""
    measured = [(index, each) for index, each in enumerate(siblings) if each.speed]
    if not measured:
        return None
    against = measured[0][1].manifest["speed"]["against"]
    compared = [(index, each) for index, each in measured if each.manifest["speed"]["against"] == against]
    bars = [
        Bar(name=each.title, value=ratio, figure=f"{ratio:.2f} x", kind=_colour(index))
        for index, each in compared
        if (ratio := each.speed["ratio"])
    ]
    hosts = "; ".join(dict.fromkeys(str(each.manifest["speed"]["hardware"]) for _, each in compared))
    caption = (
        f"Tokens a second of the encode step alone, against {against}: each as its export measured the two side by "
        f"side, on {hosts}. What is for GPUs is measured on none."
    )
    return Figure("Speed", render_bars(f"speed over that of {against}", bars), caption)


def _layers_of(each: Published) -> list[dict[str, Any]]:
    layers: list[dict[str, Any]] = (each.manifest.get("made") or {}).get("layers", [])
    return layers


def _colour(index: int) -> str:
    return f"series-{index % _COLOURS}"
