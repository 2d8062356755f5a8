"""Export, and say what was published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from encserve_export.checkpoint.tasks.table import GENERATION
from encserve_export.config import ExportConfig
from encserve_export.export import export_heads
from encserve_export.report.provenance import measured_in_words
from encserve_repository.manifest import Manifest
from encserve_repository.versions import active_version

from .stages import say, stage


def publish(config: ExportConfig) -> list[Manifest]:
    """Export, and say what was published. Raises ExportError: and nothing was."""
    manifests = export_heads(config, stage=stage, say=say)
    for manifest in manifests:
        _report(config.repository, manifest)
    return manifests


def _report(repository: Path, manifest: Manifest) -> None:
    runtime = f" with {manifest.runtime['name']}" if manifest.runtime else ""
    unit = "labels" if manifest.labels else "dimensions"
    if manifest.task == GENERATION.name:
        unit = "tokens to choose from"
    print(
        f"published {repository / manifest.name} version {manifest.version}: {manifest.task} in "
        f"{manifest.precision} on {manifest.engine}{runtime}, {manifest.dimensions} {unit}, "
        f"{manifest.limits['max_length']} tokens a text"
    )
    if active_version(repository, manifest.name) != manifest.version:
        print(f"  not active: a server takes it with `encserve promote {manifest.name} {manifest.version}`")
    parity = manifest.parity
    print(f"  {measured_in_words(parity)}")
    _print_figures(parity["figures"], parity["relaxed"])
    for name, of_output in parity.get("outputs", {}).items():
        print(f"  of the output {name} by itself:")
        _print_figures(of_output["figures"], parity["relaxed"])
    if held_out := parity.get("held_out"):
        print(f"  on {held_out['texts']} held-out texts of --calibration:")
        _print_figures(held_out["figures"], parity["relaxed"])
    if confidence := parity.get("confidence"):
        before, after = (confidence[side]["calibration_error"] for side in ("before", "after"))
        print(
            f"  temperature {confidence['temperature']:.3f}: calibration error {before['measured']:.3f} of scores, "
            f"{after['measured']:.3f} of probabilities (by chance up to {after['by_chance']:.3f}), on "
            f"{confidence['texts']['held_out']} held-out texts of --labels"
        )


def _print_figures(figures: Mapping[str, Any], relaxed: Sequence[str]) -> None:
    for name, figure in figures.items():
        mark = ", relaxed" if name in relaxed else ""
        print(f"  {name:<22} {figure['measured']:<12.6g} limit {figure['limit']:g}{mark}")
