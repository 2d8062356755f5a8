"""Language models that rank by the logits of a word or two, against sentence-transformers' CrossEncoder."""

import httpx2
import numpy as np
import pytest
from references import TEXTS
from sentence_transformers import CrossEncoder

from .pipelines import SCORES

QUERY = "storm in the harbour"
ASKED = "Is it about the town?"


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("rank-qwen3", {}, {}),
        ("rank-qwen3", {"prompt_name": "place"}, {"prompt_name": "place"}),
        ("rank-qwen3", {"instruction": ASKED}, {"prompt": ASKED}),
        pytest.param("rank-qwen2", {"instruction": ASKED}, {"prompt": ASKED}, marks=pytest.mark.slow),
    ],
)
def test_scores_are_those_of_the_library_alone_and_in_company(client, checkpoints, name, options, told):
    library = CrossEncoder(str(checkpoints[name]), device="cpu", local_files_only=True)
    expected = np.array([library.predict((QUERY, text), **told) for text in TEXTS])
    assert np.ptp(expected) > 1e-3
    answer = client.rerank(QUERY, TEXTS, model=name, **options)
    np.testing.assert_allclose(answer.scores, expected[answer.indices], **SCORES)
    assert (np.diff(answer.scores) <= 0).all()
    alone = [client.rerank(QUERY, [text], model=name, **options).scores[0] for text in TEXTS]
    np.testing.assert_allclose(answer.scores, np.take(alone, answer.indices), rtol=0, atol=1e-6)


def test_the_gateway_judges_by_the_instruction_of_a_request(gateway, client):
    asked = {"query": QUERY, "documents": TEXTS, "model": "rank-qwen3", "instruction": ASKED}
    results = httpx2.post(f"{gateway}/v1/rerank", json=asked, timeout=60).json()["results"]
    expected = client.rerank(QUERY, TEXTS, model="rank-qwen3", instruction=ASKED)
    assert [each["index"] for each in results] == expected.indices.tolist()
    np.testing.assert_allclose([each["relevance_score"] for each in results], expected.scores, rtol=0, atol=1e-6)
    refused = httpx2.post(f"{gateway}/v1/rerank", json=asked | {"model": "rank-bert"}, timeout=60)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "instruction")
