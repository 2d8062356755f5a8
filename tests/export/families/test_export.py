"""Whole exports, tokenizer to answer, of families with something of their own at every step."""

import pytest

from encserve_export.config import ExportConfig
from encserve_export.export import export

from .checkpoints import write_checkpoint


@pytest.mark.parametrize("case", ["t5", pytest.param("big_bird", marks=pytest.mark.slow)])
def test_an_export_is_certified(case, tmp_path):
    """Unigram tokenizers both; one attends packed and has no positions, the other pads inside the graph."""
    checkpoint = write_checkpoint(tmp_path / "checkpoint", case, max_length=64)
    config = ExportConfig(
        checkpoint=str(checkpoint), name="tiny", repository=tmp_path / "repository", task="feature-extraction"
    )
    manifest = export(config)
    assert manifest.limits["max_length"] == 64
    assert max(manifest.parity["token_counts"]) == 64
    assert manifest.parity["figures"]["max_abs_diff"]["measured"] < 1e-5
