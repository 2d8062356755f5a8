"""The rows of docs/hardware.md out of what `python -m benchmarks.gpu` found.

    python -m benchmarks.gpu.rows [--json benchmarks/results/gpu.json] [--write docs/hardware.md]

Prints them, or writes them into a document between the lines that name this module. Without results, or with those of a
rehearsal, the rows say that no card has run it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.written import Marks

MARKS = Marks("<!-- benchmarks.gpu.rows: begin -->", "<!-- benchmarks.gpu.rows: end -->")
NEVER = "`make gpu` **never ran on a card**."


def text_of(results: Mapping[str, Any] | None) -> str:
    """In Markdown."""
    if results is None or results["facts"]["rehearsal"] or "card" not in results:
        return NEVER
    facts, card = results["facts"], results["card"]
    versions = ", ".join(f"{name} {number}" for name, number in card["versions"].items())
    products = " and ".join(
        f"{each / 1e12:,.0f} TFLOP/s in {name}" for name, each in card["products_flops_per_s"].items()
    )
    lines = [
        f"`{facts['command']}` on one {card['name']} ({card['memory_gib']} GiB, driver {card['driver']}, CUDA "
        f"{card['cuda']}), {facts['date']}, {facts['seconds']} s in all; {versions}. Products of matrices of random "
        f"numbers ran at {products}; MFU is the share of the faster ones. The texts are as those of *mixed* of "
        "[Performance](performance.md), up to 16,384 tokens a call.",
        "",
        "| model | system | tokens/s | MFU | p50 of one text | memory of the card | least cosine with FP32 |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, model in results["models"].items():
        for system, figures in model.get("measured", {}).get("systems", {}).items():
            lines.append(f"| {name}, {facts['weights'].get(name, '?')} weights | {system} | {_figures(figures)} |")
    lines += ["", "| model | certified | attention |", "|---|---|---|"]
    for name, model in results["models"].items():
        certificate = model.get("certificate")
        if certificate:
            lines.append(f"| {name} | {_certified(certificate)} | {_attention(certificate)} |")
    lines += ["", "| step | what came of it |", "|---|---|"]
    lines += [f"| {step['name']} | {_state(step)} |" for step in results["steps"]]
    lines += [f"| {file} | left out: {why} |" for file, why in facts.get("left_out", {}).items()]
    if card["onnxruntime_lacks"]:
        lines += ["", f"ONNX Runtime had no card: {_cell(card['onnxruntime_lacks'])}"]
    return "\n".join(lines)


def _figures(figures: Mapping[str, Any]) -> str:
    if "not measured" in figures:
        return f"not measured: {_cell(figures['not measured'])} | | | | "
    return (
        f"{figures['tokens_per_s']:,} | {figures['mfu']:.0%} | {figures['p50_ms_of_one_text']:.2f} ms | "
        f"{figures['memory_mib']:,} MiB | {figures['cosine_min_to_fp32']:.6f}"
    )


def _certified(certificate: Mapping[str, Any]) -> str:
    figures = certificate["figures"]
    measured = ", ".join(
        f"{name} {figures[name]['measured']:.6g}" for name in ("cosine_min", "max_abs_diff") if name in figures
    )
    return f"on {certificate['hardware']}: {measured}"


def _attention(certificate: Mapping[str, Any]) -> str:
    ways = "; ".join(f"{_cell(name)}: {each['ratio']:.2f}" for name, each in certificate["ways"].items())
    return f"{certificate['attention']}" + (f" ({ways})" if ways else "")


def _state(step: Mapping[str, Any]) -> str:
    words = f"{step['state']}, {step['seconds']:.0f} s" if step["seconds"] else step["state"]
    return words + (f": {_cell(step['why'])}" if step["why"] else "")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.gpu.rows", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/gpu.json"))
    parser.add_argument("--write", type=Path, metavar="DOCUMENT")
    arguments = parser.parse_args()
    text = text_of(json.loads(arguments.json.read_text()) if arguments.json.is_file() else None)
    if arguments.write is None:
        print(text)
        return
    MARKS.put(arguments.write, text)


if __name__ == "__main__":
    main()
