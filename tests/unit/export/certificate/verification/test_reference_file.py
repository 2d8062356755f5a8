"""What a certificate was measured with, as it is kept beside the manifest."""

from types import SimpleNamespace

import numpy as np
import pytest
from served_vectors import TEXTS, verification_of, write_vectors

from encserve_export.certificate.subject.examination import Examination
from encserve_export.certificate.verification.reference_file import read_reference, write_reference
from encserve_export.errors import CertificateFailed
from encserve_export.reference.messages import Answer, Answered, Asked


def test_a_reference_that_is_missing_or_broken_is_named(folder, server):
    file = folder / "fake/1/reference.npz"
    file.write_bytes(b"half")
    with pytest.raises(CertificateFailed, match=r"reference\.npz cannot be read"):
        verification_of(folder, server)
    file.unlink()
    with pytest.raises(CertificateFailed, match=r"reference\.npz is missing"):
        verification_of(folder, server)


def test_wide_answers_are_kept_of_some_requests(tmp_path, monkeypatch):
    monkeypatch.setattr("encserve_export.certificate.verification.reference_file._MOST_NUMBERS", 50)
    write_vectors(tmp_path)
    reference = read_reference(tmp_path / "reference.npz")
    corpus = reference.sections["corpus"]
    assert [kept.first for kept in corpus.kept] == [0]
    assert len(corpus.token_counts) == len(TEXTS)


def test_answers_of_every_kind_are_read_as_they_were_written(tmp_path):
    answers = [
        (Answer("found", np.ones((2, 3), np.float32), ((0, -1, -1), (1, 0, 4))),),
        (Answer("ranked", np.array([0.5], np.float32), ((3, 7, "word"),)), Answer("numbers", np.zeros(1, np.float32))),
        (Answer("weights", np.array([2, 1], np.float32), (17, 4)),),
        (),
    ]
    examination = Examination(
        task=SimpleNamespace(name="any"),
        requests=[Asked({"text": ["a", "b", "c", "d"]}, {"labels": ["x"]})],
        answered=[Answered(answers, [])],
        token_counts=[2] * 4,
    )
    write_reference(tmp_path, "any", {"corpus": examination})
    reference = read_reference(tmp_path / "reference.npz")
    (kept,) = reference.sections["corpus"].kept
    assert kept.asked == examination.requests[0]
    for ours, theirs in zip(kept.answers, answers, strict=True):
        assert [(each.kind, each.keys, each.numbers.tolist()) for each in ours] == [
            (each.kind, each.keys, each.numbers.tolist()) for each in theirs
        ]
