"""Gathering what a pipeline and the library say: which row is of which text, and what counts as a text."""

from types import SimpleNamespace

import numpy as np
import pytest

from encserve_export.certificate.limits import PARITY_LIMITS
from encserve_export.certificate.subject.composed import Said
from encserve_export.certificate.subject.examination import Examination
from encserve_export.config import Precision
from encserve_export.errors import CertificateFailed
from encserve_export.reference.messages import Answer, Answered, Asked, Row

LIMITS = PARITY_LIMITS[Precision.FP32]
WINDOWS = SimpleNamespace(logits=True, follows="input_ids", outputs=("logits",))
VECTORS = SimpleNamespace(logits=False, follows="lengths", outputs=("vectors",))


def windows(lengths, owners, *, wrong=()):
    """Rows of tokens of the given lengths and owners, and the library's; of those that are `wrong` a logit differs."""
    ids = [np.arange(length) for length in lengths]
    logits = [np.tile(np.float32([1, 0]), (length, 1)) for length in lengths]
    said = [rows + np.float32([0, 0.5]) * (row in wrong) for row, rows in enumerate(logits)]
    answers = [(Answer("numbers", np.ones(1, np.float32)),) for _ in {*owners}]
    ours = Said([{"input_ids": each} for each in ids], owners, said, None, answers)
    theirs = Answered(answers, [Row(each, None, rows) for each, rows in zip(ids, logits, strict=True)])
    return ours, theirs


def test_texts_may_have_different_numbers_of_rows():
    """Three windows of the first text, one of the second, two of the third: the last row is worst."""
    examination = Examination(task=WINDOWS)
    asked = Asked({"text": ["one", "two", "three"]})
    examination.add(asked, *windows([9, 9, 4, 5, 9, 2], [0, 0, 0, 1, 2, 2], wrong=[3]))
    assert examination.token_counts == [9, 5, 9]
    figures = {figure.name: figure for figure in examination.figures(LIMITS)}
    assert figures["max_abs_diff"].worst_text == 1
    assert figures["max_abs_diff"].measured == pytest.approx(0.5)


def test_tokens_that_differ_are_those_of_the_text_that_is_named():
    ours, theirs = windows([3, 3, 3, 3], [0, 0, 0, 1])
    ours.texts[2]["input_ids"] = np.arange(3) + 1
    with pytest.raises(CertificateFailed, match=r"row 2 3 tokens that differ from the 3 of the library: 'long'"):
        Examination(task=WINDOWS).add(Asked({"text": ["long", "short"]}), ours, theirs)


def vectors(count):
    answers = [(Answer("numbers", np.eye(4, dtype=np.float32)[index]),) for index in range(count)]
    ids = [np.arange(3)] * count
    said = Said([{"input_ids": each} for each in ids], list(range(count)), [np.zeros((1, 4))] * count, None, answers)
    return said, Answered(answers, [Row(each, None) for each in ids])


def test_a_text_that_is_asked_again_with_options_is_one_text():
    examination = Examination(task=VECTORS)
    examination.add(Asked({"text": ["a", "b", "c"]}), *vectors(3))
    examination.add(Asked({"text": ["a", "c"]}, {"truncate": "start"}, variant=True), *vectors(2))
    assert (examination.distinct, len(examination.token_counts)) == (3, 5)
    for figure in examination.figures(LIMITS):
        assert (figure.texts, figure.variants) == (3, 2)
        assert figure.record()["variants"] == 2
