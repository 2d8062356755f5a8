"""Several heads on one encoder: what is proved before they share it."""

import json
from types import SimpleNamespace

import onnx
import pytest
import torch

from encserve_export.checkpoint.shared_body import load_heads
from encserve_export.config import Engine, ExportConfig, Precision
from encserve_export.engines.table import engine_for
from encserve_export.errors import CertificateFailed, CheckpointError, InvalidConfig, Unsupported
from encserve_export.export import export_heads
from encserve_export.publication.steps import EncodeSteps
from encserve_repository.config_text import from_text
from export.shared_bodies import make_heads


def share(made, folder, **changes):
    first, *others = made
    heads = {name: str(made[name]) for name in others}
    config = {"checkpoint": str(made[first]), "name": "tiny", "heads": heads, "repository": folder / "repository"}
    return export_heads(ExportConfig(**config, **changes))


def nothing_published(folder):
    return not list((folder / "repository").glob("*/*/manifest.json"))


def test_one_graph_and_one_encoder_for_all_heads(tmp_path):
    manifests = share(make_heads(tmp_path, ["labels", "tags"]), tmp_path)
    assert [manifest.name for manifest in manifests] == ["tiny", "tiny-tags"]
    assert [manifest.task for manifest in manifests] == ["text-classification", "token-classification"]
    repository = tmp_path / "repository"
    assert sorted(path.parent.parent.name for path in repository.glob("*/1/model.onnx")) == ["tiny_encode"]
    graph = onnx.load(repository / "tiny_encode" / "1" / "model.onnx").graph
    assert [output.name for output in graph.output] == ["logits", "logits_tags"]
    embeddings = [tensor for tensor in graph.initializer if list(tensor.dims)[-1:] == [32] and tensor.dims[0] == 400]
    assert len(embeddings) == 1
    for name in ("tiny", "tiny-tags"):
        manifest = json.loads((repository / name / "1" / "manifest.json").read_text())
        assert "tiny_encode/1/model.onnx" in manifest["files"]
        assert f"{name}_head/1/model.py" in manifest["files"]


def test_the_next_version_of_all_heads(tmp_path):
    made = make_heads(tmp_path, ["labels", "tags"])
    assert [manifest.version for manifest in share(made, tmp_path)] == [1, 1]
    assert [manifest.version for manifest in share(made, tmp_path)] == [2, 2]


def test_an_encoder_that_differs_is_refused_by_its_first_tensor(tmp_path):
    def change(model):
        with torch.no_grad():
            model.base_model.encoder.layer[0].output.dense.weight[3, 4] += 0.25
            model.base_model.encoder.layer[0].attention.output.dense.bias[0] -= 0.5

    made = make_heads(tmp_path, ["labels", "tags"], change=change)
    with pytest.raises(CheckpointError, match=r"labels and tags .*attention.output.dense.bias differs .* 0.5;"):
        share(made, tmp_path)
    assert nothing_published(tmp_path)


def test_another_tokenizer_is_refused(tmp_path):
    made = make_heads(tmp_path, ["labels", "tags"])
    file = made["tags"] / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    tokenizer["normalizer"]["lowercase"] = False
    file.write_text(json.dumps(tokenizer))
    with pytest.raises(CheckpointError, match="the tokenizers of labels and tags differ"):
        share(made, tmp_path)


def test_one_certificate_that_fails_publishes_no_head(tmp_path):
    """Equal tensors in a network that computes with them otherwise."""
    made = make_heads(tmp_path, ["labels", "tags"])
    file = made["tags"] / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"hidden_act": "relu"}))
    with pytest.raises(CertificateFailed):
        share(made, tmp_path)
    assert nothing_published(tmp_path)


@pytest.mark.slow
def test_heads_that_read_other_inputs_share_an_encoder_too(tmp_path):
    """Of single texts, of pairs, and of masks: each pipeline gives the graph all that any of them needs."""
    manifests = share(make_heads(tmp_path, ["labels", "words", "spans"]), tmp_path)
    inputs = ("input_ids", "lengths", "token_type_ids", "mask_at")
    assert [manifest.graph_inputs for manifest in manifests] == [inputs] * 3
    graph = onnx.load(tmp_path / "repository" / "tiny_encode" / "1" / "model.onnx").graph
    assert tuple(given.name for given in graph.input) == inputs
    assert [output.name for output in graph.output] == ["logits", "logits_words", "logits_spans"]


def test_the_encode_step_of_the_other_engine_has_all_heads(tmp_path):
    manifests = share(make_heads(tmp_path, ["labels", "tags"]), tmp_path, engine=Engine.ONNXRUNTIME)
    assert [manifest.token_budget for manifest in manifests] == [None, None]
    encode = from_text((tmp_path / "repository" / "tiny_encode" / "config.pbtxt").read_text())
    assert encode.backend == "onnxruntime"
    assert [(output.name, list(output.dims)) for output in encode.output] == [
        ("logits", [-1, 3]),
        ("logits_tags", [-1, 5]),
    ]
    scattered = {tuple(each.target_name): list(each.source_input) for each in encode.batch_output}
    assert scattered == {("logits",): ["lengths"], ("logits_tags",): ["input_ids"]}
    ensemble = from_text((tmp_path / "repository" / "tiny-tags" / "config.pbtxt").read_text())
    assert dict(ensemble.ensemble_scheduling.step[1].output_map) == {"logits_tags": "logits"}


def test_masks_beside_other_heads_need_the_engine_that_was_tried(tmp_path):
    with pytest.raises(Unsupported, match="a head for fill-mask beside others needs --engine python, not onnxruntime"):
        share(make_heads(tmp_path, ["labels", "words"]), tmp_path, engine=Engine.ONNXRUNTIME)
    assert nothing_published(tmp_path)


@pytest.mark.parametrize("longer", ["labels", "tags"])
def test_the_encode_step_is_made_for_the_longest_texts_of_any_head(longer, tmp_path):
    """Its memory is stated, and the queries of a long text are taken in blocks, by the longest that it may get."""
    made = make_heads(tmp_path, ["labels", "tags"])
    for name, folder in made.items():
        file = folder / "tokenizer_config.json"
        length = 64 if name == longer else 16
        file.write_text(json.dumps(json.loads(file.read_text()) | {"model_max_length": length}))
    config = ExportConfig(checkpoint=str(made["labels"]), name="tiny", heads={"tags": str(made["tags"])})
    checkpoints = load_heads(config)
    assert sorted(checkpoint.max_length for checkpoint in checkpoints.values()) == [16, 64]
    packs = SimpleNamespace(lengths=[8])
    steps = EncodeSteps(checkpoints=checkpoints, config=config, calibration=packs, timings=tmp_path)
    step = steps.step(Precision.FP32, tmp_path)
    assert (step.max_length, step.request.longest, step.bounds.max_length) == (64, 64, 64)


def test_what_cannot_be_asked_for():
    with pytest.raises(InvalidConfig, match="--token-budget 512: engine onnxruntime runs each batch as one pack"):
        engine_for(ExportConfig(checkpoint="a", name="b", token_budget=512, engine=Engine.ONNXRUNTIME))
    with pytest.raises(InvalidConfig, match="--token-budget 0: must be 1 at least"):
        ExportConfig(checkpoint="a", name="b", token_budget=0)
    with pytest.raises(InvalidConfig, match="--head 'c_head'"):
        ExportConfig(checkpoint="a", name="b", heads={"c_head": "d"})
