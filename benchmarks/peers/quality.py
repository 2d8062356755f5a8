"""Whether a system makes the right vectors, and how near they are to those of FP32."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.places import MODELS
from encserve_export.certificate.figures.neighbours import overlap, related_texts
from encserve_export.certificate.figures.parity import unit

TEXTS = 200
"""Held-out texts of the corpus, each with others of its subject among them."""
RIGHT = {"fp32": 0.9999, "bf16": 0.99, "int8": 0.9}
"""Precision -> the mean cosine below which vectors are wrong, and not only rounded."""


@dataclass(frozen=True)
class Quality:
    """Vectors beside those of FP32."""

    cosine: float
    """Mean over the texts."""
    neighbours: float
    """Mean share of each text's ten nearest that stay its ten nearest."""

    @classmethod
    def of(cls, rows: NDArray[np.float32], reference: NDArray[np.float32]) -> Quality:
        """Of vectors (n, W) beside those of the reference.

        Raises:
            ValueError: they are of another shape, or hold a number that is none.
        """
        if rows.shape != reference.shape or not np.isfinite(rows).all():
            raise ValueError(f"vectors of shape {rows.shape}, or with numbers that are none, for {reference.shape}")
        ours, theirs = unit(rows), unit(reference)
        cosine = float(np.einsum("nw,nw->n", ours, theirs).mean())
        return cls(round(cosine, 5), round(float(overlap(ours, theirs).mean()), 4))

    def wrong(self, precision: str) -> str:
        """Why these are no vectors of the model, whatever the precision; empty where they are."""
        least = RIGHT[precision]
        return "" if self.cosine >= least else f"wrong vectors: mean cosine {self.cosine} to FP32, {least} is asked"


def texts() -> list[str]:
    """Those that every system embeds before it is measured."""
    return related_texts(TEXTS)


def reference(checkpoint: Path, asked: Sequence[str]) -> NDArray[np.float32]:
    """The vectors (n, W) by sentence-transformers in FP32, made once for a checkpoint and texts and kept."""
    weights = next(checkpoint.glob("*.safetensors"))
    key = hashlib.sha256(repr((str(weights), weights.stat().st_mtime_ns, list(asked))).encode()).hexdigest()[:16]
    file = MODELS / f"reference-{key}.npy"
    if not file.exists():
        with ProcessPoolExecutor(1, get_context("spawn")) as process:  # whose memory is free again
            rows = process.submit(_by_sentence_transformers, str(checkpoint), list(asked)).result()
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, rows)
    found: NDArray[np.float32] = np.load(file)
    return found


def _by_sentence_transformers(checkpoint: str, asked: list[str]) -> NDArray[np.float32]:
    from sentence_transformers import SentenceTransformer

    rows: NDArray[np.float32] = SentenceTransformer(checkpoint, device="cpu").encode(asked, show_progress_bar=False)
    return rows
