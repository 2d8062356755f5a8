"""The three outputs of BGE-M3, each as FlagEmbedding gives it.

`tests/golden/hybrid` has what FlagEmbedding 1.4.2 says of the same checkpoint and texts, one text at a time; its
`make.py` asked it.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from encserve_export.errors import CheckpointError, Unsupported
from export.checkpoints.in_process import answers, load

from .layouts import MADE, MAX_LENGTH, WIDTH, m3

GOLDEN = Path(__file__).parents[2] / "golden" / "hybrid" / "flagembedding.npz"
TEXTS = [
    "The Library of the Town opens at Nine.",
    "rain",
    "",
    "Of all the trees, in the garden; only the oldest one had lost its leaves before the first night of frost!",
    "rain rain \u4e2d rain \U0001f600",
    "word " * 100,
]
QUERY = "where do trees grow in the rain?"
WEIGHTS = [0.4, 0.2, 0.4]
ASKED = {"task": "hybrid-embedding", "allow_pickle": True}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return m3(tmp_path_factory.mktemp("hybrid") / "checkpoint")


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(GOLDEN))


@pytest.fixture(scope="module")
def given(folder, tmp_path_factory):
    return answers(folder, tmp_path_factory.mktemp("given"), text=TEXTS, **ASKED)


def parts(answer, name, count):
    return np.split(answer[name], np.cumsum(answer[count])[:-1])


def test_the_vectors_of_texts_are_those_of_flagembedding(given, golden):
    theirs = np.stack([golden[f"dense_{number}"] for number in range(len(TEXTS))])
    np.testing.assert_allclose(given["embedding"], theirs, rtol=0, atol=1e-5)


def test_the_weights_of_terms_are_those_of_flagembedding(given, golden):
    ids, weights = parts(given, "token_id", "term_count"), parts(given, "weight", "term_count")
    assert any(map(len, ids))
    for number, (own, of_own) in enumerate(zip(ids, weights, strict=True)):
        theirs = dict(zip(golden[f"terms_{number}"].tolist(), golden[f"weights_{number}"].tolist(), strict=True))
        assert set(own.tolist()) == set(theirs)
        np.testing.assert_allclose(of_own, [theirs[id_] for id_ in own.tolist()], rtol=0, atol=1e-5)
        assert (np.diff(of_own) <= 0).all()


def test_the_vectors_of_tokens_are_those_of_flagembedding(given, golden):
    for number, vectors in enumerate(parts(given, "token_embedding", "vector_count")):
        np.testing.assert_allclose(vectors, golden[f"tokens_{number}"], rtol=0, atol=1e-5)
        assert vectors.shape == (given["token_count"][number] - 1, MADE)


def test_each_vector_of_a_token_has_its_place_in_the_text(given):
    places = parts(given, "offsets", "vector_count")
    assert places[1].tolist()[-1] == [-1, -1], "the token that ends a text"
    text = TEXTS[3]
    assert " ".join(text[begin:end] for begin, end in places[3][:-1].tolist()).split() == [
        each for begin, end in places[3][:-1].tolist() for each in text[begin:end].split()
    ]
    assert all(0 <= begin <= end <= len(text) for begin, end in places[3][:-1].tolist())


@pytest.mark.parametrize("left_out", ["dense", "sparse", "tokens"])
def test_what_is_not_wanted_has_no_elements(folder, given, left_out, tmp_path):
    outputs = {"dense": ["embedding"], "sparse": ["term_count", "token_id", "weight"], "tokens": ["token_embedding"]}
    answer = answers(folder, tmp_path, {left_out: False}, text=TEXTS, **ASKED)
    for option, names in outputs.items():
        for name in names:
            if option == left_out:
                assert not answer[name].size
            else:
                np.testing.assert_array_equal(answer[name], given[name])


def test_terms_and_types_may_be_fewer(folder, given, tmp_path):
    answer = answers(folder, tmp_path, {"top_k": 2, "output_dtype": "int8"}, text=TEXTS, **ASKED)
    assert answer["term_count"].tolist() == np.minimum(given["term_count"], 2).tolist()
    assert answer["embedding_int8"].shape == (len(TEXTS), WIDTH)
    assert answer["token_embedding_int8"].shape == given["token_embedding"].shape
    assert not answer["token_embedding"].size


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"allow_pickle": False}, CheckpointError, "are pickles, which can run code"),
        ({"adapters": {"a": "somewhere"}}, Unsupported, "adapters are not served for hybrid-embedding"),
    ],
)
def test_what_is_asked_and_not_offered_is_refused(folder, change, error, message):
    with pytest.raises(error, match=message):
        load(folder, **ASKED | change)


def spoiled(folder, how):
    match how:
        case "missing":
            (folder / "colbert_linear.pt").unlink()
        case "shape":
            torch.save({"weight": torch.zeros(1, WIDTH + 1), "bias": torch.zeros(1)}, folder / "sparse_linear.pt")
        case "two weights":
            torch.save({"weight": torch.zeros(2, WIDTH), "bias": torch.zeros(2)}, folder / "sparse_linear.pt")
        case "code":
            torch.save(torch.nn.Linear(WIDTH, 1), folder / "sparse_linear.pt")
        case "pooling":
            (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode": "mean"}')
    return folder


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("missing", CheckpointError, "has no colbert_linear.pt"),
        ("shape", CheckpointError, r"weight \[n, 32\] and bias \[n\]"),
        ("two weights", CheckpointError, "makes 2 weights of a token, not 1"),
        ("code", CheckpointError, "cannot be read as tensors alone"),
        ("pooling", Unsupported, "says pooling mean, hybrid-embedding needs cls"),
    ],
)
def test_files_that_are_wrong_are_refused_by_name(how, error, message, tmp_path):
    with pytest.raises(error, match=message):
        load(spoiled(m3(tmp_path / "checkpoint"), how), **ASKED)


def test_without_the_task_it_is_served_as_before(folder):
    assert load(folder).task.name == "feature-extraction"
    assert load(folder, **ASKED).max_length == MAX_LENGTH
