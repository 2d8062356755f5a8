"""Static embeddings: what sentence-transformers' StaticEmbedding says, for every layout that is published."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding

from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.config import ExportConfig, Precision
from encserve_export.errors import CheckpointError, Unsupported
from encserve_export.export import export
from encserve_local import Encoder
from export.checkpoints.in_process import answers, load
from export.checkpoints.test_misread_layouts import TEXTS
from export.test_inspect import said

from .layouts import WIDTH, model2vec, sentences

ASKED = [*TEXTS, "the the the"]

LAYOUTS = {
    "sentence-transformers": (sentences, {}),
    "normalised": (sentences, {"normalize": True}),
    "with a layer behind": (sentences, {"dense": True, "normalize": True}),
    "potion": (model2vec, {"modules": True}),
    "potion of half as many rows": (model2vec, {"modules": True, "mapped": True, "weighted": True}),
    "potion in half precision": (model2vec, {"modules": True, "dtype": torch.float16}),
    "model2vec": (model2vec, {"weighted": True}),
    "model2vec, not normalised": (model2vec, {"normalize": False}),
}


def library(folder, layout):
    if layout.startswith("model2vec"):
        modules = [StaticEmbedding.load(str(folder)), *([] if "not" in layout else [Normalize()])]
        return SentenceTransformer(modules=modules, device="cpu").float()
    return SentenceTransformer(str(folder), device="cpu").float()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_vectors_are_those_of_the_library(layout, tmp_path):
    make, how = LAYOUTS[layout]
    folder = make(tmp_path / "checkpoint", **how)
    ours = answers(folder, tmp_path, text=ASKED)["embedding"]
    expected = library(folder, layout).encode(ASKED)
    assert np.ptp(expected[:, 0]) > 0.01
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("layout", ["model2vec", pytest.param("sentence-transformers", marks=pytest.mark.slow)])
def test_an_export_is_certified_against_the_library(layout, tmp_path):
    make, how = LAYOUTS[layout]
    folder = make(tmp_path / "checkpoint", **how)
    repository = tmp_path / "repository"
    manifest = export(ExportConfig(checkpoint=str(folder), name="tiny", repository=repository, max_length=64))
    assert manifest.parity["figures"]["max_abs_diff"]["measured"] < 1e-6
    assert max(manifest.parity["token_counts"]) == 64
    assert manifest.parity["library"].startswith("SentenceTransformer of sentence-transformers")
    with Encoder(repository, "tiny") as encoder:
        answer = encoder.embed(ASKED)
    whole = answer.dropped_counts == 0
    assert whole.sum() == len(ASKED) - 1
    expected = library(folder, layout).encode(ASKED)[whole]
    np.testing.assert_allclose(answer.vectors[whole], expected, rtol=0, atol=1e-6)


def test_int8_is_refused_where_nothing_multiplies(tmp_path):
    folder = sentences(tmp_path / "checkpoint")
    asked = {"repository": tmp_path / "repository", "max_length": 64, "precision": Precision.INT8}
    with pytest.raises(Unsupported, match="int8 is of linear layers, of which the network has none"):
        export(ExportConfig(checkpoint=str(folder), name="tiny", **asked))


def test_prompts_and_lengths(tmp_path, capsys):
    folder = sentences(tmp_path / "checkpoint", prompts={"query": "find: "})
    ours = answers(folder, tmp_path, {"prompt_name": "query", "truncate": "start"}, text=ASKED, max_length=8)
    encoder = library(folder, "")
    encoder[0].tokenizer.enable_truncation(8, direction="left")
    expected = encoder.encode(ASKED, prompt_name="query")
    cut = np.array(ours["dropped_count"]) == 0
    np.testing.assert_allclose(ours["embedding"][cut], expected[cut], rtol=0, atol=1e-6)
    found = said(capsys, folder)
    assert (found["max_length"], found["dimensions"], found["family"]) == (8192, WIDTH, "static_embedding")
    assert found["attention"].startswith("none")


def test_of_a_hub_id_the_configuration_of_model2vec_says_how_wide(tmp_path):
    folder = model2vec(tmp_path / "potion")
    (folder / "model.safetensors").unlink()
    loaded = load_checkpoint(ExportConfig(checkpoint=str(folder), name="tiny"), weights=False)
    assert loaded.dimensions == WIDTH
    with pytest.raises(CheckpointError, match=r"has no model\.safetensors"):
        load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"more": torch.zeros(3)}, "tensors that nothing reads, such as more"),
        ({"weights": torch.zeros(3)}, r"weights .* has the shape \[3\]; there are .* tokens"),
        ({"mapping": torch.tensor([1, 99_999])}, "mapping .* names rows that its .* embeddings have not"),
        ({"embeddings": torch.zeros(400, 8, dtype=torch.int8)}, "embeddings .* is int8"),
        ({"embeddings": torch.zeros(9, 8)}, "the network only 9: they do not belong together"),
        ({"embeddings": torch.full((9, 8), torch.nan)}, "not finite"),
    ],
)
def test_tensors_that_do_not_fit(change, message, tmp_path):
    folder = model2vec(tmp_path / "potion")
    save_file(load_file(folder / "model.safetensors") | change, folder / "model.safetensors")
    with pytest.raises((CheckpointError, Unsupported), match=message):
        load(folder)


def test_what_is_not_offered(tmp_path):
    folder = model2vec(tmp_path / "potion", normalize=None)
    with pytest.raises(CheckpointError, match="states normalize None"):
        load(folder)
    with pytest.raises(Unsupported, match="'pooling': 'last'"):
        load(model2vec(tmp_path / "other", pooling="last"))
    with pytest.raises(Unsupported, match="which token-embedding does not ask for"):
        load(sentences(tmp_path / "sentences"), task="token-embedding")
