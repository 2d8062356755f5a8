"""The certificate as a page: one HTML file with its style and plots inside, which needs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from encserve import __version__

from .plots import Axis, bars, scatter
from .siblings import Published, graph_megabytes

_FLOOR = 1e-9
"""Errors below are drawn here: a logarithmic axis has no zero."""

_LENGTH_CAPTION = (
    "Largest difference of any number from the checkpoint's: of vectors scaled to length 1, or of logits over the "
    "largest of them. One dot for each text."
)
_LAYER_CAPTION = (
    "Of each linear layer, from the input on: the largest difference from the same layer in FP32, over its largest "
    "output. Rings are layers that stay in a wider precision. OpenVINO does not show what is inside a network."
)


def render_report(siblings: Sequence[Published], speed: Mapping[str, float], hardware: str) -> str:
    """The page about the first of `siblings`, beside the others; `speed` in tokens a second, by title."""
    asked = siblings[0].manifest
    checkpoint = asked["checkpoint"]
    revision = f" at {checkpoint['revision'][:12]}" if checkpoint.get("revision") else ""
    about = (
        f"{checkpoint['source']}{revision}, {checkpoint['architecture']}, {asked['task']}, {asked['dimensions']} "
        f"columns, {asked['limits']['max_length']} tokens a text. Measured on {asked['parity']['texts']} texts against "
        f"the checkpoint as PyTorch runs it in FP32, each text alone. encserve {__version__}"
    )
    figures = [("Error by text length", _by_length(siblings), _LENGTH_CAPTION)]
    if layers := _by_layer(siblings):
        figures.append(("Error by layer and its precision", layers, _LAYER_CAPTION))
    figures.append(("Size", _sizes(siblings), "The network on disk."))
    if speed:
        caption = (
            f"Tokens a second of the encode step alone, against FP32, side by side in one run on {hardware}. "
            "What is for GPUs is not measured here."
        )
        figures.append(("Speed", _speeds(siblings, speed), caption))
    style = files("encserve_export").joinpath("report.css").read_text(encoding="utf-8")
    title = escape(f"Certificate of {asked['name']} version {asked['version']}")
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
            f"<title>{title}</title><style>{style}</style></head><body>",
            f'<h1>{title}</h1><p class="about">{escape(about)}</p>',
            _parity_table(asked),
            '<section class="charts">',
            *(
                f"<figure><h2>{escape(name)}</h2>{svg}<figcaption>{escape(caption)}</figcaption></figure>"
                for name, svg, caption in figures
            ),
            "</section>",
            _siblings_table(siblings, speed),
            _kept_table(asked),
            _files_table(asked),
            "</body></html>",
        ]
    )


def _by_length(siblings: Sequence[Published]) -> str:
    series = {}
    for each in siblings:
        parity = each.manifest["parity"]
        pairs = zip(parity["token_counts"], parity["max_abs_diff_by_text"], strict=False)
        series[each.title] = [
            (float(tokens), max(error, _FLOOR), f"{each.title}: {tokens} tokens, {error:.3g}")
            for tokens, error in pairs
        ]
    limit = siblings[0].manifest["parity"]["figures"]["max_abs_diff"]["limit"]
    everything = [point for points in series.values() for point in points]
    return scatter(
        Axis.around("tokens of the text", [x for x, _, _ in everything]),
        Axis.around("error", [*(y for _, y, _ in everything), limit]),
        series,
        {f"limit of {siblings[0].manifest['precision']}": limit},
    )


def _by_layer(siblings: Sequence[Published]) -> str:
    own: dict[str, list[tuple[float, float, str]]] = {each.title: [] for each in siblings}
    wider: dict[str, list[tuple[float, float, str]]] = {each.title: [] for each in siblings}
    for each in siblings:
        for index, layer in enumerate((each.manifest.get("made") or {}).get("layers", [])):
            words = f"{each.title}: {layer['layer']} in {layer['precision']}: {layer['error']:.3g}"
            points = own if layer["precision"] == each.manifest["precision"] else wider
            points[each.title].append((index + 1.0, max(layer["error"], _FLOOR), words))
    everything = [point for series in (own, wider) for points in series.values() for point in points]
    if not everything:
        return ""
    return scatter(
        Axis.around("linear layers, in order", [x for x, _, _ in everything], log=False),
        Axis.around("relative error", [y for _, y, _ in everything]),
        own,
        rings=wider,
    )


def _sizes(siblings: Sequence[Published]) -> str:
    sizes = [(each.title, graph_megabytes(each)) for each in siblings]
    return bars("size", [(index, title, size, f"{size:,.1f} MB") for index, (title, size) in enumerate(sizes)])


def _speeds(siblings: Sequence[Published], speed: Mapping[str, float]) -> str:
    base = _base_of(siblings, speed)
    titles = [each.title for each in siblings]
    shown = [(index, title, speed[title] / base) for index, title in enumerate(titles) if title in speed]
    return bars("speed", [(index, title, ratio, f"{ratio:.2f} x") for index, title, ratio in shown])


def _base_of(siblings: Sequence[Published], speed: Mapping[str, float]) -> float:
    """What speeds are compared with: FP32, or the first that was measured."""
    measured = [each for each in siblings if each.title in speed]
    full = [each for each in measured if each.manifest["precision"] == "fp32"]
    return speed[(full or measured)[0].title]


def _parity_table(manifest: Mapping[str, Any]) -> str:
    rows = [
        [
            name,
            f"{figure['measured']:.6g}",
            f"{'at least' if figure.get('at_least') else 'at most'} {figure['limit']:g}",
        ]
        for name, figure in manifest["parity"]["figures"].items()
    ]
    return _table("Parity", ["figure", "measured", "limit"], rows)


def _siblings_table(siblings: Sequence[Published], speed: Mapping[str, float]) -> str:
    names = list(dict.fromkeys(name for each in siblings for name in each.manifest["parity"]["figures"]))
    base = _base_of(siblings, speed) if speed else 1.0
    rows = []
    for each in siblings:
        figures = each.manifest["parity"]["figures"]
        own = speed.get(each.title)
        rows.append(
            [
                each.title,
                f"{graph_megabytes(each):,.1f}",
                *([] if not speed else ["", ""] if own is None else [f"{own:,.0f}", f"{own / base:.2f}"]),
                *(f"{figures[name]['measured']:.6g}" if name in figures else "" for name in names),
            ]
        )
    heads = ["pipeline and version", "MB", *(["tokens/s here", "x FP32"] if speed else []), *names]
    return _table("Every precision of this checkpoint in the repository", heads, rows)


def _kept_table(manifest: Mapping[str, Any]) -> str:
    kept = (manifest.get("made") or {}).get("kept_fp32", {})
    return _table("Nodes that stay FP32", ["node", "why"], [[node, why] for node, why in kept.items()])


def _files_table(manifest: Mapping[str, Any]) -> str:
    rows = [[path, digest] for path, digest in sorted(manifest["files"].items())]
    return _table("Files", ["file", "sha256"], rows)


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<h2>{escape(title)}</h2><div class="scroll"><table><tr>{head}</tr>{body}</table></div>'
