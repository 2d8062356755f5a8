"""The checkpoint as encserve's pipelines, one in each precision that is compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from encserve_export.config import ExportConfig, Precision
from encserve_export.export import export

PRECISIONS = (Precision.FP32, Precision.INT8)

HELD_TO_NOTHING: Mapping[str, float] = {
    "tokens_identical": 0.0,
    "tie_margin": 1e9,
    "logits_max_diff": 1e9,
    "logits_rms_diff": 1e9,
    "argmax_agreement": 0.0,
    "divergence": 1e9,
}
"""Limits of int8: which token is the likeliest of random weights is a matter of chance, and of trained ones the run
itself tells how many texts are the same. That no text moves another is certified all the same."""


def name_in(precision: Precision) -> str:
    """The name of the pipeline in a precision."""
    return f"t5_{precision.value}"


def export_precisions(checkpoint: Path, repository: Path) -> None:
    """Export a checkpoint into `repository` in all of `PRECISIONS`, but for those that a run before left there.

    Raises:
        CertificateFailed: a precision misses its limits.
    """
    for precision in PRECISIONS:
        if (repository / name_in(precision)).exists():
            continue
        config = ExportConfig(
            checkpoint=str(checkpoint), name=name_in(precision), repository=repository, precision=precision
        )
        export(config if precision is Precision.FP32 else replace(config, limits=HELD_TO_NOTHING))
