"""A whole export of GLiNER2, its certificate, and heads that compute something else."""

import pytest
import torch

from encserve.local import Encoder
from encserve_export.checkpoint.gliner2.head import Gliner2Head
from encserve_export.config import ExportConfig
from encserve_export.errors import WayFailed
from encserve_export.export import export

from .checkpoints import gliner2
from .test_gliner2_entities import GOLDEN, LABELS, TEXTS, told

FIGURES = {"argmax_agreement", "max_abs_diff", "answers_agreement", "answers_max_abs_diff", "company_max_abs_diff"}
CASE = "attending"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return gliner2(tmp_path_factory.mktemp("gliner2") / "checkpoint", **GOLDEN["cases"][CASE]["how"])


def test_it_is_certified_and_answers_in_process(folder, tmp_path):
    manifest = export(ExportConfig(checkpoint=str(folder), name="people", repository=tmp_path))
    assert set(manifest.parity["figures"]) >= FIGURES
    assert "encserve's own network for GLiNER2" in manifest.parity["library"]
    assert manifest.option_defaults["threshold"] == 0.5
    assert "multi_label" not in manifest.option_defaults
    with Encoder(tmp_path, "people") as encoder:
        found = encoder.extract_entities(TEXTS, LABELS).entities
        alone = [encoder.extract_entities([text], LABELS).entities[0] for text in TEXTS]
    theirs = [told(text, own) for text, own in zip(TEXTS, GOLDEN["cases"][CASE]["answers"]["flat"], strict=True)]
    for ours, by_itself, right in zip(found, alone, theirs, strict=True):
        assert [(each.start, each.end, each.label) for each in ours] == [
            (each["start"], each["end"], each["label"]) for each in right
        ]
        assert [each.score for each in ours] == pytest.approx([each["confidence"] for each in right], abs=1e-5)
        assert [each.score for each in ours] == pytest.approx([each.score for each in by_itself], abs=1e-6)


@pytest.mark.slow  # an export each
@pytest.mark.parametrize("wrong_at", ["word", "count"])
def test_a_head_that_computes_something_else_fails_the_certificate(folder, tmp_path, monkeypatch, wrong_at):
    right = Gliner2Head.forward

    def wrong(self, states, packing, roles):
        wrong_here = (packing.positions > 24) & (roles == 1) if wrong_at == "word" else roles == 3
        return right(self, states, packing, roles) * torch.where(wrong_here, 1.01, 1.0)[:, None]

    monkeypatch.setattr(Gliner2Head, "forward", wrong)
    with pytest.raises(WayFailed, match="max_abs_diff"):
        export(ExportConfig(checkpoint=str(folder), name="people", repository=tmp_path))
