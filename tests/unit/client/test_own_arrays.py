"""Whose arrays an answer has: a transport in the process may keep those that it gave, as for texts that come again."""

import numpy as np
import pytest

from encserve import Client, InferResponse
from encserve.testing import FakeTransport, fake_pipeline

TEXTS = ["bb", "bb"]


def rows(request):
    """What answers each of the verbs: two tokens, or terms, for each text."""
    texts = len(request.inputs["text"])
    counts = np.full((1, texts), 2, np.int32)
    vectors = texts if "embedding" in request.outputs and "offsets" not in request.outputs else 2 * texts
    return {
        "embedding": np.ones((1, vectors, 3), np.float32),
        "token_count": counts,
        "dropped_count": np.zeros((1, texts), np.int32),
        "offsets": np.ones((1, 2 * texts, 2), np.int32),
        "term_count": counts,
        "token_id": np.ones((1, 2 * texts), np.int32),
        "weight": np.ones((1, 2 * texts), np.float32),
    }


class Keeping(FakeTransport):
    """A transport that gives the same arrays again."""

    kept = None

    def infer(self, request, *, timeout_s):
        if self.kept is None:
            self.kept = super().infer(request, timeout_s=timeout_s)
        return InferResponse(model="fake", version="1", tensors=self.kept.tensors)


@pytest.mark.parametrize("most", [2, 1], ids=["in one request", "in two"])
@pytest.mark.parametrize(
    ("verb", "task", "fields"),
    [
        ("embed", "feature-extraction", ["vectors"]),
        ("embed_tokens", "token-embedding", ["vectors", "offsets"]),
        ("embed_sparse", "sparse-embedding", ["token_ids", "weights"]),
    ],
)
def test_what_a_caller_makes_of_its_rows_changes_no_other_answer(verb, task, fields, most):
    pipeline = fake_pipeline(task=task, max_texts_per_request=most)
    with Client(transport=Keeping(rows, pipelines=[pipeline])) as client:
        first = getattr(client, verb)(TEXTS, model="fake")
        for field in fields:
            for row in getattr(first, field):
                row[:] = 0
        again = getattr(client, verb)(TEXTS, model="fake")
        assert all(np.all(row == 1) for field in fields for row in getattr(again, field))
