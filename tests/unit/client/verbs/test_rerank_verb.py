"""`rerank`: what it sends, and how the answers become one order."""

import numpy as np
import pytest
from unit.client.verbs.conftest import texts_of

from encserve import InvalidInput
from encserve.testing import fake_pipeline

RANKS = fake_pipeline(task="text-ranking", pairs=True)


def ranks(request):
    """A document's score is the number it consists of."""
    values = np.array([float(text) for text in request.inputs["text_pair"]], np.float32)
    order = np.argsort(-values, kind="stable")[: request.parameters.get("top_k")]
    return {"index": order[None].astype(np.int32), "score": values[order][None]}


class TestRerank:
    def test_requests_are_merged_into_one_order(self, ask):
        result, requests = ask(RANKS, ranks, "rerank", "q", ["3", "5", "4", "9", "5"])
        assert result.indices.tolist() == [3, 1, 4, 2, 0]
        assert result.scores.tolist() == [9, 5, 5, 4, 3]
        assert len(result) == 5
        assert [texts_of(request) for request in requests] == [["q"]] * 3

    def test_top_k_of_all(self, ask):
        result, requests = ask(RANKS, ranks, "rerank", "q", ["3", "5", "4", "9", "5"], top_k=3, prompt_name="query")
        assert result.indices.tolist() == [3, 1, 4]
        assert requests[0].parameters == {"top_k": 3, "prompt_name": "query"}

    def test_no_documents(self, ask):
        result, _ = ask(RANKS, ranks, "rerank", "q", [])
        assert result.indices.tolist() == result.scores.tolist() == []

    def test_a_long_query_counts_with_each_document(self, ask):
        pipeline = fake_pipeline(task="text-ranking", pairs=True, max_tokens_per_request=100)
        _, requests = ask(pipeline, ranks, "rerank", "q" * 80, ["1", "2"], settings={"texts_per_request": 64})
        assert len(requests) == 2

    @pytest.mark.parametrize(
        ("query", "documents", "message"),
        [
            (None, ["1"], "query is NoneType"),
            ("\ud800", ["1"], "query is no valid Unicode"),
            ("q", ["1", 2], "document 1 is int"),
            ("q", "1", "documents is a single str"),
        ],
    )
    def test_refused(self, ask, query, documents, message):
        with pytest.raises(InvalidInput, match=message):
            ask(RANKS, ranks, "rerank", query, documents)
