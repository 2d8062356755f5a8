"""Export, and say what was published."""

from __future__ import annotations

from pathlib import Path

from .config import ExportConfig
from .manifest import Manifest
from .pipeline import export_heads
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
    print(
        f"published {repository / manifest.name} version {manifest.version}: {manifest.task} in "
        f"{manifest.precision.value} on {manifest.engine.value}{runtime}, {manifest.dimensions} {unit}, "
        f"{manifest.limits['max_length']} tokens a text"
    )
    for name, figure in manifest.parity["figures"].items():
        print(f"  {name:<22} {figure['measured']:<12.6g} limit {figure['limit']:g}")
