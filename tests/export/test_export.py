"""The whole export of a small checkpoint."""

import hashlib
import json
from dataclasses import replace

import pytest

from encserve_export.certificate.limits import PARITY_LIMITS, ParityLimits
from encserve_export.config import Engine, Precision
from encserve_export.errors import CertificateFailed
from encserve_export.export import export
from encserve_repository import durable
from encserve_repository.config_text import from_text
from encserve_repository.layout import STEPS
from encserve_repository.versions import published_versions

from .small_checkpoints import make_checkpoint


@pytest.fixture
def traced_config(export_config, tmp_path):
    """An export of one layer, for tests that have its trace to themselves."""
    return replace(export_config, checkpoint=str(make_checkpoint(tmp_path / "one layer")))


@pytest.mark.parametrize("engine", [Engine.PYTHON, Engine.ONNXRUNTIME])
def test_an_export_publishes_a_certified_pipeline(export_config, engine):
    manifest = export(replace(export_config, engine=engine))
    repository = export_config.repository
    written = (repository / "tiny/1/manifest.json").read_bytes()
    stated = json.loads(written)
    assert stated["version"] == manifest.version == 1
    assert stated["engine"] == engine.value
    assert stated["parity"]["token_counts"][0] == 2
    assert max(stated["parity"]["token_counts"]) == stated["limits"]["max_length"] == 64
    assert stated["parity"]["lengths_scanned"][0] == 1
    assert stated["parity"]["lengths_scanned"][-1] == 64
    assert set(stated["parity"]["figures"]) == {
        "cosine_min",
        "cosine_mean",
        "neighbours",
        "max_abs_diff",
        "answers_max_abs_diff",
        "company_max_abs_diff",
        "nonfinite_lengths",
        "length_cosine_min",
        "length_max_abs_diff",
    }
    assert stated["tools"]["torch"]

    present = {file.relative_to(repository).as_posix() for file in repository.glob("tiny*/1/**/*") if file.is_file()}
    # The configuration names the manifest by its digest, so the manifest cannot hold that of the configuration.
    assert {*stated["files"], "tiny/1/manifest.json", "tiny/1/config.pbtxt"} == present
    for path, digest in stated["files"].items():
        assert hashlib.sha256((repository / path).read_bytes()).hexdigest() == digest

    warmup = [file.name for file in repository.glob("tiny_encode/warmup/*")]
    encode = from_text((repository / "tiny_encode/config.pbtxt").read_text())
    assert sorted(warmup) == sorted({sample.inputs["lengths"].input_data_file for sample in encode.model_warmup})
    assert bool(warmup) is (engine is Engine.ONNXRUNTIME)
    tokenize = json.loads((repository / "tiny_tokenize/1/settings.json").read_text())
    assert tokenize.get("marker") == (["input_ids", "lengths"] if warmup else None)

    card = from_text((repository / "tiny/config.pbtxt").read_text()).parameters
    assert card["certificate"].string_value == hashlib.sha256(written).hexdigest()


@pytest.mark.parametrize("name", ["traced-0", "draft-0", "measured"])
def test_what_is_made_on_the_way_is_in_no_pipelines_way_and_is_gone_before_anything_is_published(
    name, export_config, monkeypatch
):
    staged = []
    monkeypatch.setattr(durable, "sync_tree", lambda folder: staged.extend(entry.name for entry in folder.iterdir()))
    assert export(replace(export_config, name=name)).name == name
    assert sorted(staged) == sorted([name, *(f"{name}_{step}" for step in STEPS)])


def test_a_second_export_adds_version_2_with_the_same_graph(traced_config, traces):
    """Traced anew: what the first one takes was traced before, by this process or by another."""
    first = export(traced_config)
    with traces.anew():
        second = export(traced_config)
    assert published_versions(traced_config.repository, "tiny") == [1, 2]
    assert first.files["tiny_encode/1/model.onnx"] == second.files["tiny_encode/2/model.onnx"]


def test_a_graph_that_differs_from_the_checkpoint_is_not_published(traced_config, monkeypatch):
    """Pool the packed graph another way than the checkpoint says, behind the back of the guard."""
    from encserve_export.network import packed_graph

    monkeypatch.setitem(packed_graph.POOLINGS, "mean", packed_graph.POOLINGS["cls"])
    monkeypatch.setattr("encserve_export.export.check_texts_are_apart", lambda checkpoint: None)
    with pytest.raises(
        CertificateFailed, match=r"cosine_min is .* must be at least 0\.99999; worst is text \d+ of \d+ tokens"
    ):
        export(traced_config)
    assert not list(traced_config.repository.iterdir())


def test_a_tokenizer_that_differs_from_transformers_is_not_published(export_config, monkeypatch):
    from encserve_export.checkpoint.checkpoint import Checkpoint

    genuine = Checkpoint.tokenizer_file
    monkeypatch.setattr(
        Checkpoint, "tokenizer_file", lambda self: genuine(self).replace('"lowercase":true', '"lowercase":false')
    )
    with pytest.raises(CertificateFailed, match=r"the tokenizer gives row \d+ \d+ tokens that differ"):
        export(export_config)


def test_a_nan_in_the_graph_is_found(traced_config, monkeypatch):
    """NaN compares false with everything; a gate written the wrong way round would let it pass."""
    import torch

    from encserve_export.network import packed_graph

    genuine = packed_graph.POOLINGS["mean"]

    def nan_when_long(states, packing):
        vectors = genuine(states, packing)
        return torch.where((packing.lengths > 60)[:, None], torch.full_like(vectors, torch.nan), vectors)

    monkeypatch.setitem(packed_graph.POOLINGS, "mean", nan_when_long)
    monkeypatch.setattr("encserve_export.export.check_texts_are_apart", lambda checkpoint: None)
    with pytest.raises(CertificateFailed, match="holds NaN or infinity"):
        export(traced_config)


@pytest.mark.parametrize("limit", ["max_abs_diff", "company_max_abs_diff"])
def test_each_limit_gates(export_config, limit, monkeypatch):
    tightened = ParityLimits(**{**vars(PARITY_LIMITS[Precision.FP32]), limit: -1.0})
    monkeypatch.setitem(PARITY_LIMITS, Precision.FP32, tightened)
    with pytest.raises(CertificateFailed, match=f"^{limit} is .*, must be at most -1"):
        export(export_config)
