"""Several heads on one encoder: what is proved before they share it."""

import json

import onnx
import pytest
import torch

from encserve_export.config import Engine, ExportConfig
from encserve_export.errors import CertificateFailed, CheckpointError, InvalidConfig, Unsupported
from encserve_export.pipeline import export_heads

from .shared_bodies import make_heads


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
            model.base_model.encoder.layer[1].output.dense.weight[3, 4] += 0.25
            model.base_model.encoder.layer[0].output.dense.bias[0] -= 0.5

    made = make_heads(tmp_path, ["labels", "tags"], change=change)
    with pytest.raises(CheckpointError, match=r"labels and tags .* encoder.layer.0.output.dense.bias differs .* 0.5;"):
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


@pytest.mark.parametrize(("other", "message"), [("words", "is for fill-mask"), ("spans", "not both single texts and")])
def test_heads_that_read_other_inputs_are_refused(tmp_path, other, message):
    with pytest.raises(Unsupported, match=message):
        share(make_heads(tmp_path, ["labels", other]), tmp_path)


def test_what_cannot_be_asked_for():
    with pytest.raises(InvalidConfig, match="several heads need --engine python, not onnxruntime"):
        ExportConfig(checkpoint="a", name="b", heads={"c": "d"}, engine=Engine.ONNXRUNTIME)
    with pytest.raises(InvalidConfig, match="--head 'c_head'"):
        ExportConfig(checkpoint="a", name="b", heads={"c_head": "d"})
