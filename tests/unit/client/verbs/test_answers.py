import numpy as np
import pytest

from encserve import ContractError, InferResponse
from encserve._verbs.answers import AnswerReader
from encserve._verbs.embedding.embed import EMBED
from encserve._verbs.table import VERBS
from encserve.testing import fake_pipeline

TENSORS = {
    "embedding": np.arange(6, dtype=np.float32).reshape(1, 2, 3),
    "token_count": np.array([[4, 5]], np.int32),
    "dropped_count": np.array([[0, 1]], np.int32),
}


def reader(tensors):
    response = InferResponse(model="m", version="2", tensors=tensors, request_id="r")
    return AnswerReader(response=response, rows=2, start=64, given={}, pipeline=fake_pipeline(certificate="c"))


def decode(**changes):
    return EMBED.decode(reader({name: t for name, t in (TENSORS | changes).items() if t is not None}))


def test_answer():
    embeddings = decode()
    assert embeddings.vectors.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert embeddings.token_counts.tolist() == [4, 5]
    assert embeddings.dropped_counts.tolist() == [0, 1]
    assert (embeddings.model, embeddings.version, embeddings.certificate) == ("m", "2", "c")
    assert (embeddings.start, len(embeddings)) == (64, 2)


@pytest.mark.parametrize(
    ("name", "tensor", "problem"),
    [
        ("token_count", None, "no tensor 'token_count', only 'embedding', 'dropped_count'"),
        ("embedding", np.zeros((1, 2, 3), np.float16), "'embedding' is float16, the contract promises float32"),
        ("embedding", np.zeros((1, 3, 3), np.float32), r"'embedding' has shape \[1, 3, 3\], .* promises \[1, 2, 3\]"),
        ("embedding", np.zeros((2, 3), np.float32), r"'embedding' has shape \[2, 3\]"),
        ("dropped_count", np.zeros((1, 1), np.int32), r"'dropped_count' has shape \[1, 1\]"),
    ],
)
def test_broken_contract(name, tensor, problem):
    with pytest.raises(ContractError, match=problem) as caught:
        decode(**{name: tensor})
    assert (caught.value.model, caught.value.version, caught.value.request_id) == ("m", "2", "r")


@pytest.mark.parametrize(
    ("tensor", "shape", "problem"),
    [
        (np.array([[b"a"]], object), (2,), r"shape \[1, 1\], the contract promises \[1, 2\]"),
        (np.array([[b"a"]], object), (2, None), r"promises \[1, 2, \*\]"),
        (np.array([[b"\xff"]], object), (None,), "holds text that is not UTF-8"),
    ],
)
def test_broken_strings(tensor, shape, problem):
    with pytest.raises(ContractError, match=problem):
        reader({"label": tensor}).strings("label", shape)


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_the_answer_about_no_text_is_empty(verb):
    response = InferResponse(model="m", version="", tensors={})
    given = {"labels": '["x", "y"]'}
    empty = verb.decode(AnswerReader(response=response, rows=0, start=0, given=given, pipeline=fake_pipeline()))
    assert [len(value) for value in vars(empty).values() if isinstance(value, list | np.ndarray) and len(value)] == []
    assert (empty.model, empty.version, len(empty)) == ("m", "", 0)
