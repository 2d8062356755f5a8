"""Pipelines with logits, verified: what a server can be asked is found again, and what it cannot be asked is said."""

import numpy as np
import pytest
import transformers

from encserve_export.certificate.figures.parity import LOGIT_FIGURES
from encserve_export.certificate.lengths import LENGTH_FIGURES_OF_LOGITS
from encserve_export.config import ExportConfig
from encserve_export.export import export
from encserve_export.verify import verify
from export.small_checkpoints import make_checkpoint

from .in_process import served_in_process

NETWORKS = {
    "text-classification": transformers.AutoModelForSequenceClassification,
    "token-classification": transformers.AutoModelForTokenClassification,
}


@pytest.fixture(scope="module", params=sorted(NETWORKS))
def exported(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    checkpoint = make_checkpoint(folder / "checkpoint", network=NETWORKS[request.param], num_labels=3)
    config = ExportConfig(checkpoint=str(checkpoint), name="tiny", repository=folder / "models")
    return config.repository, export(config)


def test_all_that_was_certified_is_found_again_but_for_what_is_said_to_be_left_out(exported):
    repository, manifest = exported
    with served_in_process(repository, manifest) as transport:
        verification = verify(transport, "tiny", repository, timeout_s=60)
    assert verification.complaints == []
    figures = {figure.name for figure in verification.figures}
    assert figures == {*manifest.parity["figures"]} - {*LOGIT_FIGURES, *LENGTH_FIGURES_OF_LOGITS}
    (said,) = verification.left_out
    assert said.startswith("argmax_agreement, max_abs_diff, length_max_abs_diff: of logits, which stay in the server; ")


def test_scores_that_have_changed_are_drift(exported):
    repository, manifest = exported

    def spoil(tensors):
        return tensors | {"score": tensors["score"] * np.float32(1.01)}

    with served_in_process(repository, manifest, spoil) as transport:
        complaints = verify(transport, "tiny", repository, timeout_s=60).complaints
    assert any(each.startswith("answers_max_abs_diff is ") for each in complaints)
