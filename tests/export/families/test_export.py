"""Whole exports, tokenizer to answer, of families with something of their own at every step."""

import pytest

from encserve_export.config import ExportConfig
from encserve_export.export import export
from encserve_export.network import graph_file
from export.small_checkpoints import write_modules

from .checkpoints import write_checkpoint


@pytest.mark.slow
@pytest.mark.parametrize("case", ["t5", "big_bird"])
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


@pytest.mark.slow
def test_a_decoder_whose_weights_need_a_second_file(tmp_path, monkeypatch):
    """As they do above two gigabytes; a network of 4 billion parameters would take tests an hour."""
    monkeypatch.setattr(graph_file, "EXTERNAL_ABOVE_BYTES", 1_000)
    folder = write_checkpoint(tmp_path / "checkpoint", "qwen3", max_length=64)
    modules = [("Transformer", "", {}), ("Pooling", "1_Pooling", {"pooling_mode_lasttoken": True})]
    write_modules(folder, [*modules, ("Normalize", "2_Normalize", {})], 32)
    manifest = export(ExportConfig(checkpoint=str(folder), name="tiny", repository=tmp_path / "repository"))
    graph, weights = (tmp_path / "repository/tiny_encode/1" / name for name in ("model.onnx", "model.onnx.data"))
    assert graph.stat().st_size < weights.stat().st_size
    assert manifest.parity["figures"]["max_abs_diff"]["measured"] < 1e-5
    assert max(manifest.parity["token_counts"]) == 64
