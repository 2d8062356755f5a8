"""The head of late interaction, against loops that say what MaxSim is."""

import tracemalloc

import numpy as np
import pytest

from encserve_server.steps.head.answers.vectors import late_interaction
from encserve_server.steps.head.answers.vectors.late_interaction import Head, max_sim
from encserve_server.steps.head.loading import CheckedHead
from encserve_server.steps.request.options import InvalidArgument

OPTIONS = {
    "dimensions": None,
    "normalize": False,
    "output_dtype": "float32",
    "rank": False,
    "top_k": None,
    "document_vectors": None,
}
NONE_GIVEN = {"document_vector": np.empty((0, 6), np.float32), "document_count": np.empty(0, np.int32)}


def request(rng, counts, width=6):
    """Some tokens of texts, of which each text has so many vectors as `counts` says."""
    at = np.sort(rng.choice(3 * sum(counts), sum(counts), replace=False)).astype(np.int32)
    rows = rng.normal(size=(3 * sum(counts), width)).astype(np.float32)
    return {"token_embedding": rows, "vector_at": at, "vector_count": np.array(counts, np.int32), **NONE_GIVEN}


def head(**settings):
    late = {"mean": False, "query": {"max_length": 8, "filled_to": 0}, **settings}
    return CheckedHead(Head({"late_interaction": late, "limits": {"max_tokens_per_request": 100}}))


def by_loops(query, document):
    return sum(max(float(one @ other) for other in document) for one in query.astype(np.float64))


@pytest.mark.parametrize("mean", [False, True])
def test_scores_are_sums_of_the_largest_products(mean):
    asked = request(np.random.default_rng(0), [7, 1, 12, 3, 5])
    query, *documents = np.split(asked["token_embedding"][asked["vector_at"]], np.cumsum(asked["vector_count"])[:-1])
    scores = np.array([by_loops(query, document) for document in documents]) / (len(query) if mean else 1)
    order = np.argsort(-scores)
    answer = head(mean=mean).answer(asked, OPTIONS | {"rank": True})
    assert answer["index"].tolist() == order.tolist()
    np.testing.assert_allclose(answer["score"], scores[order], atol=1e-4)
    assert answer["embedding"].shape == (0, 6)
    best = head(mean=mean).answer(asked, OPTIONS | {"rank": True, "top_k": 2})
    assert best["index"].tolist() == order[:2].tolist()


def test_vectors_that_are_given_score_as_those_of_texts_do():
    asked = request(np.random.default_rng(0), [7, 1, 12, 3, 5])
    by_texts = head(mean=True).answer(asked, OPTIONS | {"rank": True, "normalize": True, "dimensions": 4})
    rows = asked["token_embedding"][asked["vector_at"], :4]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    query = {name: asked[name][:7] for name in ("vector_at",)} | {"vector_count": asked["vector_count"][:1]}
    given = {"document_vector": rows[7:], "document_count": asked["vector_count"][1:]}
    options = OPTIONS | {"rank": True, "normalize": True, "dimensions": 4, "document_vectors": "float32"}
    answer = head(mean=True).answer(asked | query | given, options)
    assert answer["index"].tolist() == by_texts["index"].tolist()
    np.testing.assert_allclose(answer["score"], by_texts["score"], rtol=1e-6)


@pytest.mark.parametrize(
    ("counts", "given", "message"),
    [
        ([1], NONE_GIVEN, "there are 1 texts and 0 given documents"),
        ([1, 2], {"document_count": [1], "document_vector": np.zeros((1, 6))}, "there are 2 texts and 1 given"),
        ([1], {"document_count": [1], "document_vector": np.zeros((1, 5))}, r"shape \[1, 1, 5\]; .* of 6 numbers"),
        ([1], {"document_count": [101], "document_vector": np.zeros((101, 6))}, "at most 100 vectors"),
        ([1], {"document_count": [2], "document_vector": np.zeros((1, 6))}, "document_count adds up to 2"),
        ([1], {"document_count": [0, 1], "document_vector": np.zeros((1, 6))}, "document_count holds 0"),
    ],
)
def test_given_vectors_that_do_not_fit(counts, given, message):
    given = {name: np.asarray(given[name], NONE_GIVEN[name].dtype) for name in NONE_GIVEN}
    asked = request(np.random.default_rng(4), counts) | given
    with pytest.raises(InvalidArgument, match=message):
        head().answer(asked, OPTIONS | {"rank": True, "document_vectors": "float32"})


@pytest.mark.parametrize(("value", "found"), [([3e38, 3e38], "inf"), ([3e38, -3e38], "nan")])
def test_given_vectors_of_which_a_score_is_not_finite_are_the_callers(value, found):
    """Each number of them is, and where nothing is normalized no length is known that they should have."""
    asked = request(np.random.default_rng(5), [1], width=2) | {
        "token_embedding": np.full((3, 2), 4, np.float32),
        "document_vector": np.array([[1, 1], value], np.float32),
        "document_count": np.array([1, 1], np.int32),
    }
    with pytest.raises(InvalidArgument, match=f"document 1 has the score {found}; its vectors are too long"):
        head().answer(asked, OPTIONS | {"rank": True, "document_vectors": "float32"})


def test_a_document_alone_has_the_score_that_it_has_beside_others():
    """To the last bit, as products by BLAS are not: those are added up in an order that depends on the sizes."""
    rng, counts = np.random.default_rng(1), np.array([1, 40, 3, 200])
    query, documents = (rng.normal(size=(size, 128)).astype(np.float32) for size in (32, counts.sum()))
    together = max_sim(query, documents, counts)
    alone = [max_sim(query, own, np.array([len(own)]))[0] for own in np.split(documents, np.cumsum(counts)[:-1])]
    np.testing.assert_array_equal(alone, together)


def test_long_texts_take_no_more_memory_than_short_ones(monkeypatch):
    monkeypatch.setattr(late_interaction, "_MOST_PRODUCTS", 10_000)
    rng = np.random.default_rng(2)
    query, documents = (rng.normal(size=(size, 4)).astype(np.float32) for size in (900, 1_100))
    counts = np.array([100, 1_000])
    tracemalloc.start()
    scores = max_sim(query, documents, counts)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    expected = [by_loops(query, own) for own in np.split(documents, [100])]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    assert peak < 10 * 10_000 * 4, "all products are 4 MB"


def test_vectors_are_those_of_the_tokens_that_have_one():
    asked = request(np.random.default_rng(3), [2, 3])
    answer = head().answer(asked, OPTIONS | {"dimensions": 4, "normalize": True})
    kept = asked["token_embedding"][asked["vector_at"], :4]
    np.testing.assert_allclose(answer["embedding"], kept / np.linalg.norm(kept, axis=1, keepdims=True), atol=1e-6)
    assert (len(answer["index"]), len(answer["score"])) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"vector_at": np.array([0, 1, 99], np.int32)}, {}, "vector_at holds 0 to 99; 0 to 8 are expected"),
        ({"vector_at": np.array([-1, 1, 2], np.int32)}, {}, "vector_at holds -1 to 2"),
        ({"vector_at": np.array([0, 1, 1], np.int32)}, {}, "vector_at must rise"),
        ({"vector_at": np.array([0, 2, 1], np.int32)}, {}, "vector_at must rise"),
        ({"vector_at": np.zeros(3, np.int32)}, {"rank": True}, "vector_at must rise"),
        ({"token_embedding": np.zeros((101, 1), np.float32)}, {}, "has 101 tokens; at most 100"),
        (request(np.random.default_rng(4), [9, 2]), {"rank": True}, "the query has 9 vectors; at most 8"),
        ({"vector_count": np.array([3, 0], np.int32)}, {}, "vector_count holds 0; 1 or more"),
        ({"vector_count": np.array([1, 1], np.int32)}, {}, "vector_count adds up to 2"),
        (
            {"vector_count": np.array([3], np.int32)},
            {"rank": True},
            "there are 1 texts and 0 given documents; a query and one",
        ),
    ],
)
def test_tensors_that_do_not_fit(changes, options, message):
    asked = request(np.random.default_rng(4), [1, 2]) | changes
    with pytest.raises(InvalidArgument, match=message):
        head().answer(asked, OPTIONS | options)


@pytest.mark.parametrize(("output_dtype", "name"), [("int8", "embedding_int8"), ("binary", "embedding_binary")])
def test_vectors_of_tokens_in_shorter_forms(output_dtype, name):
    asked = request(np.random.default_rng(4), [3, 2], width=12)
    rows = asked["token_embedding"][asked["vector_at"]]
    answer = head().answer(asked, OPTIONS | {"output_dtype": output_dtype})
    largest = np.abs(rows).max(1, keepdims=True)
    expected = np.packbits(rows > 0, axis=1) if output_dtype == "binary" else np.rint(rows * (127 / largest))
    np.testing.assert_array_equal(answer[name], expected)
    others = {"embedding", "embedding_int8", "embedding_binary"} - {name}
    assert {answer[other].shape for other in others} == {(5, 0)}
    ranked = head().answer(asked, OPTIONS | {"output_dtype": output_dtype, "rank": True})
    plain = head().answer(asked, OPTIONS | {"rank": True})
    np.testing.assert_array_equal(ranked["score"], plain["score"])
    assert len(ranked[name]) == 0
