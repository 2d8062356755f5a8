"""A whole export of GLiNER, its certificate, and a head that computes something else."""

import json

import pytest
import torch

from encserve.local import Encoder
from encserve_export.checkpoint.gliner.head import EntityHead
from encserve_export.config import ExportConfig
from encserve_export.errors import WayFailed
from encserve_export.export import export

from .checkpoints import gliner
from .test_entities import ASKED, GOLDEN, LABELS, TEXTS, chosen

FIGURES = {"argmax_agreement", "max_abs_diff", "answers_agreement", "answers_max_abs_diff", "company_max_abs_diff"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return gliner(tmp_path_factory.mktemp("gliner") / "checkpoint")


@pytest.mark.slow  # an export of its own
def test_runs_of_words_are_certified_around_a_named_encoder(tmp_path):
    """The LSTM is left out, and the vector of a label is that of its first token."""
    base = tmp_path / "encoder"
    made = GOLDEN["cases"]["words, plain"]
    folder = gliner(tmp_path / "checkpoint", base=base, model_name=str(base), **made["how"])
    manifest = export(ExportConfig(checkpoint=str(folder), name="people", repository=tmp_path / "repository"))
    assert set(manifest.parity["figures"]) >= FIGURES
    assert manifest.checkpoint["base"]["source"] == "encoder"
    assert str(tmp_path) not in json.dumps(manifest.checkpoint)
    with Encoder(tmp_path / "repository", "people") as encoder:
        for asked, expected in made["answers"].items():
            found = encoder.extract_entities(TEXTS, LABELS, **chosen(ASKED[asked]))
            assert [[each.text for each in of_text] for of_text in found.entities] == [
                [each["text"] for each in of_text] for of_text in expected
            ], asked


def test_it_is_certified_and_answers_in_process(folder, tmp_path):
    manifest = export(ExportConfig(checkpoint=str(folder), name="people", repository=tmp_path))
    assert set(manifest.parity["figures"]) >= FIGURES
    assert "encserve's own network for GLiNER" in manifest.parity["library"]
    assert manifest.option_defaults["threshold"] == 0.5
    with Encoder(tmp_path, "people") as encoder:
        found = encoder.extract_entities(TEXTS, LABELS)
    theirs = GOLDEN["cases"]["projected"]["answers"]["flat"]
    assert [len(each) for each in found.entities] == list(map(len, theirs))
    assert found.entities[0][0].score == pytest.approx(theirs[0][0]["score"], abs=1e-5)


@pytest.mark.slow  # an export of its own
def test_a_head_that_computes_something_else_fails_the_certificate(folder, tmp_path, monkeypatch):
    right = EntityHead.forward

    def wrong(self, states, packing, roles):
        return right(self, states, packing, roles) * torch.where(packing.positions > 12, 1.01, 1.0)[:, None]

    monkeypatch.setattr(EntityHead, "forward", wrong)
    with pytest.raises(WayFailed, match="max_abs_diff"):
        export(ExportConfig(checkpoint=str(folder), name="people", repository=tmp_path))
