"""Certificates of queries, documents and their scores: what is read rightly holds, and what is not does not."""

from dataclasses import replace

import pytest

from encserve_export.attention.packing import Packing
from encserve_export.errors import CertificateFailed, WayFailed
from export.certificate.staged import stage

from . import layouts


def with_late(**changes):
    """A reading of the checkpoint that is another in one thing."""

    def read(checkpoint):
        late = replace(checkpoint.late, **{name: change(checkpoint.late) for name, change in changes.items()})
        return replace(checkpoint, modules=replace(checkpoint.modules, late=late))

    return read


def test_what_is_read_rightly_is_certified(tmp_path):
    parity = stage(tmp_path / "staged", layouts.stanford(tmp_path / "checkpoint")).certify()
    assert parity["library"].startswith("MultiVectorEncoder of sentence-transformers")
    assert parity["figures"]["max_abs_diff"]["measured"] < 1e-5
    assert parity["figures"]["answers_max_abs_diff"]["measured"] < 1e-5
    assert parity["variants"] == 8, "texts that were ranked"


@pytest.mark.parametrize(
    ("read", "failure"),
    [
        ({"query": lambda late: replace(late.query, marker="[unused1]")}, "the tokenizer gives row"),
        ({"document": lambda late: replace(late.document, skipped_words=(".",))}, "answers_agreement"),
        ({"expansion": lambda late: replace(late.expansion, attended=True)}, "max_abs_diff"),
        ({"mean": lambda late: True}, "answers_max_abs_diff"),
    ],
)
def test_what_is_read_wrongly_is_not(read, failure, tmp_path):
    staged = stage(tmp_path / "staged", layouts.stanford(tmp_path / "checkpoint"), read=with_late(**read))
    with pytest.raises((CertificateFailed, WayFailed), match=failure):
        staged.certify()


def test_keys_that_every_token_sees_are_found(tmp_path, monkeypatch):
    staged = stage(tmp_path / "staged", layouts.stanford(tmp_path / "checkpoint"))
    monkeypatch.setattr(Packing, "attending_to", lambda packing, attention_mask: packing)
    with pytest.raises(WayFailed, match="max_abs_diff"):
        staged.certify()
