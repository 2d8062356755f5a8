"""Documents in order, against sentence-transformers."""

import numpy as np
import pytest
from references import TEXTS
from sentence_transformers import CrossEncoder

from .pipelines import SCORES


@pytest.mark.parametrize(
    "name", ["rank-bert", pytest.param("rank-roberta", marks=pytest.mark.slow), "rank-modular-bert"]
)
def test_rerank(client, checkpoints, name):
    encoder = CrossEncoder(str(checkpoints[name]), device="cpu", max_length=64)
    for query in ("storm in the harbour", "", TEXTS[-1]):
        expected = encoder.rank(query, TEXTS)
        answer = client.rerank(query, TEXTS, model=name)
        assert answer.indices.tolist() == [each["corpus_id"] for each in expected]
        np.testing.assert_allclose(answer.scores, [each["score"] for each in expected], **SCORES)
        best = client.rerank(query, TEXTS, model=name, top_k=2)
        np.testing.assert_array_equal(best.indices, answer.indices[:2])
        np.testing.assert_array_equal(best.scores, answer.scores[:2])
        assert len(best) == len(TEXTS)
