"""What the small GLiNERs of the benchmark are to learn, and which limits are said to be missed."""

import numpy as np
from benchmarks.precision.trained_entities import WIDE, missed_by, wanted_of

from encserve_export.certificate.limits import PARITY_LIMITS
from encserve_export.config import Precision

WORDS = ["Ada", "Byron", "wrote", "1843", "Of", "The", "Sea", "And", "Sky"]
LABELS = ["the weather", "7", "money"]


def test_scores_of_words_are_of_the_first_the_last_and_all_of_a_run():
    wanted = wanted_of(WORDS, LABELS, of_words=True).numpy()
    assert np.flatnonzero(wanted[:, 0, 0]).tolist() == [0, 4, 8], "no run has more than four words"
    assert np.flatnonzero(wanted[:, 1, 0]).tolist() == [1, 7, 8]
    assert np.flatnonzero(wanted[:, 2, 0]).tolist() == [0, 1, 4, 5, 6, 7, 8]
    assert not wanted[..., 1].any(), "of a number"
    assert wanted[3, :, 2].all()


def test_scores_of_spans_are_where_they_begin_by_their_words():
    wanted = wanted_of(WORDS, LABELS, of_words=False).numpy()
    assert np.argwhere(wanted).tolist() == [[0, 1, 0], [3, 0, 2], [4, 3, 0], [8, 0, 0]]


def test_figures_miss_the_limits_of_their_precision():
    held = {name: {"measured": getattr(PARITY_LIMITS[Precision.INT8], name)} for name in WIDE}
    assert missed_by(held, Precision.INT8) == []
    worse = {"argmax_agreement": {"measured": 0.9}, "max_abs_diff": {"measured": 0.2}}
    assert missed_by(held | worse, Precision.INT8) == ["argmax_agreement", "max_abs_diff"]
    assert missed_by({}, Precision.INT8) == []
