"""What a certificate asked, what the library said and what the step made of it, kept so that a server can be asked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encserve_export.certificate.subject.examination import Examination
from encserve_export.certificate.verification.reference_file import write_reference
from encserve_export.checkpoint.tasks.table import GENERATION
from encserve_export.generation.asked_step import Made
from encserve_export.reference.messages import Answer, Answered, Asked

LIKELIEST, SEARCHED = "corpus", "beams"
"""The sections of the file."""


@dataclass
class Kept:
    """The texts so far, each in a request of its own."""

    sections: dict[str, Examination] = field(
        default_factory=lambda: {name: Examination(task=GENERATION) for name in (LIKELIEST, SEARCHED)}
    )

    def add(
        self, asked: Asked, ours: Made, theirs: Answered, margins: NDArray[np.float64] | None, *, beams: bool
    ) -> None:
        """Keep one text: the library's tokens and text, and as a third answer ours, with the smallest of the library's
        `margins`."""
        least = np.zeros(0, np.float32) if margins is None else margins.min(keepdims=True).astype(np.float32)
        (said,) = theirs.answers
        section = self.sections[SEARCHED if beams else LIKELIEST]
        section.requests.append(asked)
        section.answered.append(replace(theirs, answers=[(*said, Answer("found", least, (ours.text,)))], rows=[]))
        section.token_counts.append(len(ours.source))

    def write(self, folder: Path) -> None:
        """Write the file of all of it."""
        write_reference(folder, GENERATION.name, self.sections)
