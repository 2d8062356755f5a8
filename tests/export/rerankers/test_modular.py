"""Cross-encoders of modules: their scores are those of sentence-transformers, or they are refused by name."""

import json
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, Pooling

from encserve_export.attention.pairs import Pairs
from encserve_export.certificate.guard import check_texts_are_apart
from encserve_export.checkpoint.sentence import layers
from encserve_export.checkpoint.tasks import settings
from encserve_export.errors import CertificateFailed, CheckpointError, Unsupported, WayFailed
from encserve_export.network.packed_graph import quiet_exporter
from encserve_server.steps.head.answers.scores import ACTIVATIONS
from export.certificate.staged import stage
from export.checkpoints.in_process import answers, load
from export.small_checkpoints import make_checkpoint

from .modular import WIDTH, modular

QUERY = "where do trees grow?"
TEXTS = ["The Library of the Town opens at Nine.", "rain", "", "Trees grow in the garden of the town; only one is old!"]


@pytest.mark.parametrize(
    "made",
    [
        {},
        {"family": "roberta", "pooling": "mean", "activation": torch.nn.Identity()},
        {"prompts": {"query": "find: "}},
        {"activation": torch.nn.Tanh()},
    ],
)
def test_scores_are_those_of_sentence_transformers(made, tmp_path):
    folder = modular(tmp_path / "checkpoint", **made)
    theirs = CrossEncoder(str(folder), device="cpu")
    for number, options in enumerate([{}, *({"prompt_name": name} for name in made.get("prompts", ()))]):
        scores = theirs.predict([(QUERY, text) for text in TEXTS], **options)
        assert np.ptp(scores) > 0.01
        ours = answers(folder, tmp_path / str(number), options, text=[QUERY], text_pair=TEXTS)
        order = np.argsort(-scores, kind="stable")
        assert ours["index"].tolist() == order.tolist()
        np.testing.assert_allclose(ours["score"], scores[order], rtol=0, atol=1e-5)
    if made.get("family") is None:
        assert "token_type_ids" in load(folder).graph_inputs


def test_what_is_read_rightly_is_certified_and_what_is_not_is_not(tmp_path):
    folder = modular(tmp_path / "checkpoint")
    parity = stage(tmp_path / "right", folder).certify()
    assert parity["library"].startswith("CrossEncoder of sentence-transformers")
    assert parity["figures"]["max_abs_diff"]["measured"] < 1e-5

    def without_norm(checkpoint):
        kept = tuple(each for each in checkpoint.modules.dense if not isinstance(each, torch.nn.LayerNorm))
        return replace(checkpoint, modules=replace(checkpoint.modules, dense=kept))

    with pytest.raises((CertificateFailed, WayFailed), match="max_abs_diff"):
        stage(tmp_path / "wrong", folder, read=without_norm).certify()


def test_pairs_that_see_each_other_are_found(tmp_path, monkeypatch):
    """By their pooled vectors: of one score only the sign would be compared."""
    checkpoint = load(modular(tmp_path))
    check_texts_are_apart(checkpoint)
    genuine = Pairs.seen.func
    monkeypatch.setattr(Pairs, "seen", property(lambda pairs: torch.ones_like(genuine(pairs))))
    with pytest.raises(Unsupported, match="run packed differs from each text alone"):
        check_texts_are_apart(checkpoint)


def test_what_cannot_be_served_is_refused_by_name(tmp_path):
    folder = modular(tmp_path / "one")
    for task in ("feature-extraction", "token-embedding"):
        with pytest.raises(Unsupported, match=f"makes the score of a pair of a pooled vector, which {task} does not"):
            load(folder, task=task)
    with pytest.raises(Unsupported, match="the head gives 3 numbers for a pair, text-ranking needs 1"):
        load(modular(tmp_path / "three", labels=3))
    modules = json.loads((folder / "modules.json").read_text())
    again = modules[2] | {"idx": len(modules), "name": str(len(modules))}
    (folder / "modules.json").write_text(json.dumps([*modules, again]))
    with pytest.raises(Unsupported, match="puts Dense behind scores, which is not supported"):
        load(folder)
    (folder / "modules.json").write_text(json.dumps(modules))
    norm = folder / modules[4]["path"]
    weights = load_file(norm / "model.safetensors")
    save_file({"norm.weight": weights["norm.weight"][:4]}, norm / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"the weights of .*LayerNorm do not fit its config\.json"):
        load(folder)


def test_norms_and_dropouts_of_vectors_of_texts(tmp_path):
    network = make_checkpoint(tmp_path / "network", "bert")
    norm = LayerNorm(WIDTH)
    torch.nn.init.normal_(norm.norm.weight)
    dense = Dense(WIDTH, 12, activation_function=torch.nn.Mish())
    made = SentenceTransformer(
        modules=[Transformer(str(network)), Pooling(WIDTH, "mean"), Dropout(0.5), norm, dense, LayerNorm(12)],
        device="cpu",
    )
    made.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    theirs = SentenceTransformer(str(tmp_path / "saved"), device="cpu").encode(TEXTS)
    assert load(tmp_path / "saved").dimensions == 12
    ours = answers(tmp_path / "saved", tmp_path / "steps", text=TEXTS)["embedding"]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("function", settings._RANKING_ACTIVATIONS)
def test_the_functions_of_scores_are_those_of_torch(function):
    numbers = torch.linspace(-100, 100, 2001)
    made = getattr(torch.nn, function.rpartition(".")[2])()(numbers).numpy()
    ours = ACTIVATIONS[settings._RANKING_ACTIVATIONS[function]](numbers.numpy())
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, made, rtol=1e-6, atol=1e-7)
    assert (np.diff(ours) >= 0).all(), "documents are ordered by their logits"


def test_every_function_that_a_layer_may_name_is_the_same_in_a_graph(traced_anew, tmp_path):
    functions = torch.nn.ModuleList(each() for each in layers._ACTIVATIONS.values())

    class Each(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.functions = functions

        def forward(self, x):
            return torch.stack([function(x) for function in self.functions])

    numbers = torch.linspace(-9, 9, 181)
    file = tmp_path / "functions.onnx"
    with quiet_exporter():
        program = torch.onnx.export(Each().eval(), kwargs={"x": numbers}, dynamo=True, opset_version=20, verbose=False)
    program.save(file)
    (ours,) = onnxruntime.InferenceSession(file).run(None, {"x": numbers.numpy()})
    np.testing.assert_allclose(ours, Each()(numbers).numpy(), rtol=0, atol=2e-6)
    assert {name for name in layers._ACTIVATIONS if name.startswith("torch.nn.modules.")} == {*layers._ACTIVATIONS}
