"""How far a published graph may be from the FP32 PyTorch checkpoint. The only place where tolerances stand.

All figures are of vectors scaled to length 1, and of logits over the largest of the reference, so that they mean the
same for every checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass

from .config import Precision


@dataclass(frozen=True, kw_only=True)
class ParityLimits:
    """Limits of one precision."""

    cosine_min: float
    """Smallest cosine of any text's vector with its reference."""
    argmax_agreement: float
    """Smallest share of the rows of any text in which the highest logit is the reference's highest."""
    max_abs_diff: float
    """Largest difference of any component or logit from the reference."""
    company_max_abs_diff: float
    """Largest difference of any component or logit between a text alone and in company."""


PARITY_LIMITS: dict[Precision, ParityLimits] = {
    Precision.FP32: ParityLimits(
        cosine_min=0.99999, argmax_agreement=1.0, max_abs_diff=1e-4, company_max_abs_diff=1e-5
    ),
}
