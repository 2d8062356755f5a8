"""What the vectors of the certificate's texts are like, kept for `encserve drift`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from encserve_export.certificate.subject.examination import Examination
from encserve_repository.baseline import LEAST_TEXTS, Baseline
from encserve_repository.layout import BASELINE_FILE
from encserve_server.baseline import TASK, baseline_of


def write_baseline(folder: Path, corpus: Examination, own: Examination | None) -> None:
    """Write a baseline into the folder of a pipeline's version, where it has vectors of enough texts: of the user's
    own texts, if these are enough, else of the corpus."""
    (folder / BASELINE_FILE).unlink(missing_ok=True)  # of another way that was certified before
    if corpus.task.name != TASK:
        return
    for examination, source in (
        (own, "held-out texts of --calibration"),
        (corpus, "texts of the certificate's corpus"),
    ):
        if examination is not None and (baseline := _baseline(folder, examination, source)):
            (folder / BASELINE_FILE).write_text(baseline.to_json(), encoding="utf-8")
            return


def _baseline(folder: Path, examination: Examination, source: str) -> Baseline | None:
    vectors = [answer.numbers for text, answer in enumerate(examination.own) if text not in examination.variants]
    if len(vectors) < LEAST_TEXTS:
        return None
    name, version = folder.parent.name, int(folder.name)
    return baseline_of(np.array(vectors), pipeline=name, version=version, certificate="", source=source)
