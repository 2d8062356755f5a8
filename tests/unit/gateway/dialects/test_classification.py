"""`/classify` of vLLM and Infinity."""

import numpy as np
import pytest
from unit.gateway.asgi import post
from unit.gateway.pipelines import LABELS


@pytest.mark.parametrize("path", ["/classify", "/v1/classify"])
@pytest.mark.parametrize("inputs", ["a", ["a", "b c", ""]])
async def test_labels_and_probabilities_in_the_order_of_the_checkpoint(fake, path, inputs):
    answered = (await post(fake().gateway, path, {"input": inputs})).json
    firsts = [1, 2, 0][: len(answered["data"])]
    assert len(answered["data"]) == (1 if inputs == "a" else 3)
    for index, (item, first) in enumerate(zip(answered["data"], firsts, strict=True)):
        assert (item["index"], item["label"], item["num_classes"]) == (index, LABELS[first], 3)
        assert np.argmax(item["probs"]) == first
        np.testing.assert_allclose(sum(item["probs"]), 1, rtol=1e-6)
    assert answered["model"] == "classify"
    assert answered["usage"]["total_tokens"] == (3 if inputs == "a" else 9)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": []}, "input"),
        ({"input": [1]}, "input"),
        ({"input": "a", "raw_scores": True}, "raw_scores"),
        ({"input": "a", "model": "entail"}, "model"),
        ({"input": "a", "model": "embed"}, "model"),
    ],
)
async def test_what_is_wrong_is_named(fake, body, param):
    answered = await post(fake().gateway, "/classify", body)
    assert (answered.status, answered.json["error"]["param"]) == (400, param)
