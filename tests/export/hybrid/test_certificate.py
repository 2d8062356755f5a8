"""A whole export of BGE-M3: each output is certified by itself, and each can be asked for alone."""

import numpy as np
import pytest

from encserve import InvalidInput
from encserve.local import Encoder
from encserve_export.config import Device, Engine, ExportConfig
from encserve_export.errors import Unsupported, WayFailed
from encserve_export.export import export
from encserve_export.network.packed_heads import PackedHybrid
from encserve_repository.config_text import from_text

from .layouts import MADE, WIDTH, m3
from .test_outputs import ASKED, GOLDEN, QUERY, TEXTS, WEIGHTS

FIGURES = {"cosine_min", "cosine_mean", "max_abs_diff", "answers_max_abs_diff"}


def config(folder, repository, **changes):
    return ExportConfig(checkpoint=str(folder), name="m3", repository=repository, **ASKED | changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return m3(tmp_path_factory.mktemp("hybrid") / "checkpoint")


@pytest.fixture(scope="module")
def published(folder, tmp_path_factory):
    repository = tmp_path_factory.mktemp("repository")
    return export(config(folder, repository)), repository


@pytest.fixture(scope="module")
def encoder(published):
    _, repository = published
    with Encoder(repository, "m3") as encoder:
        yield encoder


def test_the_certificate_has_figures_of_each_output(published):
    manifest, _ = published
    assert manifest.columns == {"sentence_embedding": WIDTH, "token_weight": 1, "token_vector": MADE}
    assert set(manifest.parity["outputs"]) == {"dense", "sparse", "tokens"}
    for name, of_output in manifest.parity["outputs"].items():
        assert set(of_output["figures"]) >= FIGURES, name
    assert "neighbours" in manifest.parity["figures"], "of the vectors of texts"
    assert manifest.option_defaults["dense"] is True


@pytest.mark.slow
def test_a_cpp_engine_gives_all_outputs_each_by_its_texts_or_tokens(folder, tmp_path):
    """Triton cuts what a batch gave into the answers of requests: a vector for each text, the others for each token."""
    manifest = export(config(folder, tmp_path, engine=Engine.ONNXRUNTIME, device=Device.CPU))
    assert {*manifest.parity["outputs"]} == {"dense", "sparse", "tokens"}
    worst = [each["figures"]["max_abs_diff"]["measured"] for each in manifest.parity["outputs"].values()]
    assert 0 < max(worst) < 1e-5
    step = from_text((tmp_path / "m3_encode/config.pbtxt").read_text())
    assert (step.backend, [(each.target_name[0], each.source_input[0]) for each in step.batch_output]) == (
        "onnxruntime",
        [("sentence_embedding", "lengths"), ("token_weight", "input_ids"), ("token_vector", "input_ids")],
    )


@pytest.mark.parametrize(
    ("output", "place"),
    [
        pytest.param("dense", 0, marks=pytest.mark.slow),  # an export each
        ("sparse", 1),
        pytest.param("tokens", 2, marks=pytest.mark.slow),
    ],
)
def test_an_output_that_is_wrong_fails_the_certificate_by_its_name(folder, output, place, monkeypatch, tmp_path):
    right = PackedHybrid.forward

    def wrong(self, input_ids, lengths):
        outputs = list(right(self, input_ids, lengths))
        outputs[place] = outputs[place] * (1.0 + 0.01 * (input_ids[: outputs[place].shape[0], None] % 2))
        return tuple(outputs) if output == "sparse" else (*outputs[:place], outputs[place] + 0.1, *outputs[place + 1 :])

    monkeypatch.setattr(PackedHybrid, "forward", wrong)
    with pytest.raises(WayFailed, match=f"of the output {output}, "):
        export(config(folder, tmp_path))


def test_one_call_gives_all_and_each_call_gives_one(encoder):
    whole = encoder.embed_hybrid(TEXTS)
    np.testing.assert_array_equal(encoder.embed(TEXTS).vectors, whole.vectors)
    sparse = encoder.embed_sparse(TEXTS)
    tokens = encoder.embed_tokens(TEXTS)
    for row in range(len(TEXTS)):
        assert sparse.token_ids[row].tolist() == whole.token_ids[row].tolist()
        np.testing.assert_array_equal(sparse.weights[row], whole.weights[row])
        np.testing.assert_array_equal(tokens.vectors[row], whole.token_vectors[row])
        np.testing.assert_array_equal(tokens.offsets[row], whole.offsets[row])


def test_what_is_left_out_is_none(encoder):
    some = encoder.embed_hybrid(TEXTS, dense=False, tokens=False)
    assert some.vectors is some.token_vectors is some.offsets is None
    assert len(some.weights) == len(TEXTS)
    with pytest.raises(InvalidInput, match="none of dense, sparse, tokens is true"):
        encoder.embed_hybrid(TEXTS, dense=False, sparse=False, tokens=False)


@pytest.mark.parametrize(("name", "weights"), [("equal", None), ("weighted", WEIGHTS)])
def test_scores_are_those_of_flagembedding(encoder, name, weights):
    golden = np.load(GOLDEN)
    given = {} if weights is None else {"weights": weights}
    asked, kept = encoder.embed_hybrid([QUERY]), encoder.embed_hybrid(TEXTS)
    scores = asked.scores(kept, **given)
    for own, key in (("dense", "dense"), ("sparse", "sparse"), ("tokens", "colbert")):
        np.testing.assert_allclose(getattr(scores, own)[0], golden[f"{name} {key}"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(scores.combined[0], golden[f"{name} colbert+sparse+dense"], rtol=1e-5, atol=1e-5)
    two = encoder.embed_hybrid([QUERY], tokens=False).scores(kept, **given)
    assert two.tokens is None
    np.testing.assert_allclose(two.combined[0], golden[f"{name} sparse+dense"], rtol=1e-5, atol=1e-5)


def test_it_shares_its_encoder_with_no_other_head(folder, tmp_path):
    with pytest.raises(Unsupported, match="--head: hybrid-embedding has several outputs of its own"):
        export(config(folder, tmp_path, heads={"other": str(folder)}))
