"""The certificate as a page: one HTML file with its style and drawings inside, which needs no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from encserve import __version__
from encserve_export.checkpoint.tasks.table import GENERATION
from encserve_export.publication.siblings import Published, graph_megabytes
from encserve_pages.page import Cell, Figures, Part, Table, render_page

from .confidence import confidence_parts
from .figures import figures
from .generation import differences, reported
from .provenance import measured_in_words


def render_report(siblings: Sequence[Published]) -> str:
    """The page about the first of `siblings`, beside the others."""
    asked = siblings[0].manifest
    parts: list[Part] = [
        *_parity(asked["parity"]),
        *confidence_parts(asked["parity"]),
        *_of_tokens(asked),
        Figures(list(figures(siblings))),
        _speed(asked),
        _siblings(siblings),
        _kept(asked),
        _files(asked),
    ]
    return render_page(f"Certificate of {asked['name']} version {asked['version']}", _about(asked), parts)


def _about(manifest: Mapping[str, Any]) -> str:
    checkpoint = manifest["checkpoint"]
    base = f", on {_source(checkpoint['base'])}" if "base" in checkpoint else ""
    return (
        f"{_source(checkpoint)}{base}, {checkpoint['architecture']}, {manifest['task']}, "
        f"{manifest['dimensions']} columns, {manifest['limits']['max_length']} tokens a text. "
        f"Against {manifest['parity']['library']}, each text alone in FP32; {measured_in_words(manifest['parity'])}. "
        f"encserve {__version__}"
    )


def _source(stated: Mapping[str, Any]) -> str:
    return f"{stated['source']} at {stated['revision'][:12]}" if stated.get("revision") else str(stated["source"])


def _parity(parity: Mapping[str, Any]) -> Iterator[Table]:
    yield _measured("Parity", parity["figures"], parity["relaxed"])
    for name, of_output in parity.get("outputs", {}).items():
        yield _measured(f"Of the output {name} by itself", of_output["figures"], parity["relaxed"])
    if held_out := parity.get("held_out"):
        title = f"Parity on {held_out['texts']} held-out texts of --calibration"
        yield _measured(title, held_out["figures"], parity["relaxed"])


def _measured(title: str, figures: Mapping[str, Any], relaxed: Sequence[str]) -> Table:
    rows: list[list[str | Cell]] = []
    for name, figure in figures.items():
        limit = f"{'at least' if figure['at_least'] else 'at most'} {figure['limit']:g}"
        shown = Cell(f"{limit}, relaxed", "bad") if name in relaxed else limit
        again = f" and {figure['variants']:,} with options" if figure.get("variants") else ""
        rows.append([name, f"{figure['measured']:.6g}", shown, f"{figure['texts']:,}{again}"])
    return Table(title, ["figure", "measured", "limit", "texts"], rows)


def _of_tokens(manifest: Mapping[str, Any]) -> Iterator[Table]:
    if manifest["task"] == GENERATION.name:
        yield reported(manifest["parity"])
        yield differences(manifest["parity"])


def _speed(manifest: Mapping[str, Any]) -> Table:
    speed = manifest.get("speed") or {}
    rows = [
        [way, f"{own['tokens_per_s']:,.0f}", f"{own['ratio']:.2f}", "taken" if way == speed["way"] else ""]
        for way, own in speed.get("ways", {}).items()
    ]
    heads = ["way", "tokens/s", f"x {speed.get('against', '')}", ""]
    return Table(f"Speed of the encode step where it was made: {speed.get('hardware', '')}", heads, rows)


def _siblings(siblings: Sequence[Published]) -> Table:
    rows = [["MB", *(f"{graph_megabytes(each):,.1f}" for each in siblings)]]
    if any(each.speed for each in siblings):
        speeds = [each.speed for each in siblings]
        rows.append(["tokens/s where it was made", *(f"{own['tokens_per_s']:,.0f}" if own else "" for own in speeds)])
    found = [each.manifest["parity"]["figures"] for each in siblings]
    for name in dict.fromkeys(name for each in found for name in each):
        rows.append([name, *(f"{each[name]['measured']:.6g}" if name in each else "" for each in found)])
    return Table("Every precision of this checkpoint in the repository", ["", *(each.title for each in siblings)], rows)


def _kept(manifest: Mapping[str, Any]) -> Table:
    kept = (manifest.get("made") or {}).get("kept_fp32", {})
    return Table("Nodes that stay FP32", ["node", "why"], list(kept.items()), words=True)


def _files(manifest: Mapping[str, Any]) -> Table:
    return Table("Files", ["file", "sha256"], sorted(manifest["files"].items()))
