"""Texts whose differences grow with their length, against what a precision rounds anyway."""

import pytest

from encserve_export.certificate.lengths import length_growth
from encserve_export.certificate.limits import PARITY_LIMITS
from encserve_export.config import Precision

LIMITS = PARITY_LIMITS[Precision.FP16]  # 0.01 at most
TOKENS = [2, 8, 32, 64, 128, 512]


@pytest.mark.parametrize(
    ("differences", "growth"),
    [
        ([1e-3, 2e-3, 3e-3, 2e-3, 1e-3, 2e-3], 1),
        ([1e-3, 2e-3, 3e-3, 2e-3, 2e-3, 8e-3], 4),
        ([1e-3, 9e-3, 1e-3, 1e-3, 5e-3, 2e-3], 5),  # one short text that is far off says nothing of the usual ones
        ([1e-7, 1e-7, 1e-7, 1e-7, 1e-5, 1e-3], 2),  # against half a thousandth, below which all is rounding
    ],
)
def test_growth_is_that_of_the_worst_long_text_over_a_usual_short_one(differences, growth):
    (figure,) = length_growth(dict(enumerate(differences)), TOKENS, LIMITS)
    assert figure.measured == pytest.approx(growth)
    assert figure.holds is (growth <= 3)
    assert TOKENS[figure.worst_text] == (512 if growth != 5 else 128)


def test_a_pipeline_of_short_texts_has_none():
    assert length_growth({0: 1e-3, 1: 2e-3}, TOKENS, LIMITS) == []
