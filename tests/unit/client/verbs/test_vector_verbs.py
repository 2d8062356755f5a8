"""`embed_tokens` and `embed_sparse`, whose rows are of different lengths."""

import numpy as np
import pytest

from encserve.testing import fake_pipeline


def test_embed_tokens(ask):
    def vectors(request):
        lengths = [len(text) for text in request.inputs["text"]]
        total = sum(lengths)
        return {
            "token_count": np.array([lengths], np.int32),
            "embedding": np.arange(3 * total, dtype=np.float32).reshape(1, total, 3),
            "offsets": np.zeros((1, total, 2), np.int32),
        }

    pipeline = fake_pipeline(task="token-embedding")
    result, _ = ask(pipeline, vectors, "embed_tokens", ["aa", "b", "ccc"], normalize=True)
    assert [each.shape for each in result.vectors] == [(2, 3), (1, 3), (3, 3)]
    assert [each.shape for each in result.offsets] == [(2, 2), (1, 2), (3, 2)]
    assert result.vectors[1].tolist() == [[6, 7, 8]]
    assert ask(pipeline, vectors, "embed_tokens", [])[0].vectors == []


def test_embed_sparse(ask):
    def terms(request):
        n = len(request.inputs["text"])
        ids = np.array([[7, 8][: 2 * (n - 1)]], np.int32)
        return {"term_count": np.array([[0, 2][:n]], np.int32), "token_id": ids, "weight": ids.astype(np.float32)}

    asked = {"top_k": 2, "prompt_name": ""}
    result, requests = ask(fake_pipeline(task="sparse-embedding"), terms, "embed_sparse", ["a", "b", "c"], **asked)
    assert [ids.tolist() for ids in result.token_ids] == [[], [7, 8], []]
    assert [weights.tolist() for weights in result.weights] == [[], [7, 8], []]
    assert requests[0].parameters == asked


@pytest.mark.parametrize("task", ["token-embedding", "late-interaction"])
@pytest.mark.parametrize(
    ("output_dtype", "name", "kind", "columns"),
    [("int8", "embedding_int8", np.int8, 12), ("binary", "embedding_binary", np.uint8, 2)],
)
def test_embed_tokens_in_shorter_types(ask, task, output_dtype, name, kind, columns):
    def vectors(request):
        assert name in request.outputs
        counts = np.array([[len(text) for text in request.inputs["text"]]], np.int32)
        rows = np.arange(counts.sum() * columns, dtype=kind).reshape(1, counts.sum(), columns)
        offsets = np.zeros((1, counts.sum(), 2), np.int32)
        return {"token_count": counts, "vector_count": counts, name: rows, "offsets": offsets}

    pipeline = fake_pipeline(task=task, dimensions=12)
    result, _ = ask(pipeline, vectors, "embed_tokens", ["aa", "b"], output_dtype=output_dtype)
    assert [(each.shape, each.dtype) for each in result.vectors] == [((2, columns), kind), ((1, columns), kind)]


@pytest.mark.parametrize(
    ("defaults", "options", "requests"),
    [
        ({}, {}, 2),
        ({}, {"prompt": "find: "}, 4),
        ({}, {"prompt_name": "query"}, 4),
        ({"prompt_name": "query"}, {}, 4),
        ({"prompt_name": "query"}, {"prompt": ""}, 2),
        ({"input_type": "document", "prompt_name": None}, {}, 4),
        ({"input_type": "document", "prompt_name": None}, {"prompt_name": ""}, 2),
    ],
)
def test_a_prompt_counts_against_the_tokens_of_a_request(ask, defaults, options, requests):
    """It has an unknown length, and kinds of texts may have one of their own."""

    def terms(request):
        count = len(request.inputs["text"])
        none = np.empty((1, 0), np.int32)
        return {"term_count": np.zeros((1, count), np.int32), "token_id": none, "weight": none.astype(np.float32)}

    pipeline = fake_pipeline(
        task="sparse-embedding",
        max_length=16,
        max_tokens_per_request=16,
        prompt_names=("query",),
        option_defaults=defaults,
    )
    result, asked = ask(pipeline, terms, "embed_sparse", ["a", "b", "c", "d"], **options)
    assert len(result.token_ids) == 4
    assert len(asked) == requests
    assert all(request.parameters.items() >= options.items() for request in asked)


@pytest.mark.parametrize(
    ("options", "requests"),
    [({}, 2), ({"prompt": "find: "}, 2), ({"prompt": "ä" * 99}, 4), ({"prompt_name": "query"}, 4)],
)
def test_a_prompt_counts_with_each_text_that_is_read_in_windows(ask, options, requests):
    def vectors(request):
        count = len(request.inputs["text"])
        return {
            "embedding": np.zeros((1, count, 3), np.float32),
            "window_count": np.ones((1, count), np.int32),
        }

    pipeline = fake_pipeline(max_length=160, max_tokens_per_request=400, prompt_names=("query",))
    given = {"long_text": "chunk", **options}
    result, asked = ask(pipeline, vectors, "embed", ["a" * 80] * 4, **given)
    assert result.vectors.shape == (4, 3)
    assert len(asked) == requests
