"""`fill_mask` and `score`, which ask for what stands at masks."""

import numpy as np
import pytest
from unit.client.verbs.conftest import texts_of

from encserve import ContractError, Fill
from encserve.testing import fake_pipeline

MASKS = fake_pipeline(task="fill-mask", mask_token="[MASK]", option_defaults={"top_k": 2})


def test_fill_mask(ask):
    def fills(request):
        counts = [text.count(b"[MASK]") for text in request.inputs["text"]]
        m = sum(counts)
        return {
            "mask_count": np.array([counts], np.int32),
            "token": np.array([[[b"a", b"b"]] * m], object),
            "token_id": np.array([[[1, 2]] * m], np.int32),
            "score": np.array([[[0.5, 0.25]] * m], np.float32),
        }

    result, _ = ask(MASKS, fills, "fill_mask", ["[MASK]", "[MASK] x [MASK]", "[MASK]"])
    pair = [Fill("a", 1, 0.5), Fill("b", 2, 0.25)]
    assert result.masks == [[pair], [pair, pair], [pair]]
    without_default = fake_pipeline(task="fill-mask", mask_token="[MASK]")
    with pytest.raises(ContractError, match=r"'token' has shape \[1, 1, 2\], the contract promises \[1, 1, 5\]"):
        ask(without_default, fills, "fill_mask", ["[MASK]"])


class TestScore:
    @staticmethod
    def answer(request):
        sizes = [len(text) for text in request.inputs["text"]]
        return {
            "mask_count": np.array([sizes], np.int32),
            "pseudo_log_likelihood": -np.array([sizes], np.float32),
        }

    def test_copies_count_as_texts(self, ask):
        texts = ["abc", "", "de", "fghijklmn", "o"]
        result, requests = ask(MASKS, self.answer, "score", texts, settings={"texts_per_request": 6})
        assert result.log_likelihoods.tolist() == [-3, 0, -2, -9, -1]
        assert result.scored_counts.tolist() == [3, 0, 2, 9, 1]
        assert [texts_of(request) for request in requests] == [texts[:3], texts[3:4], texts[4:]]
        assert requests[0].parameters == {"score_texts": True}
        assert requests[0].outputs == ("mask_count", "pseudo_log_likelihood", "token_count", "dropped_count")

    def test_no_texts(self, ask):
        result, requests = ask(MASKS, self.answer, "score", [])
        assert (len(result), result.log_likelihoods.shape, requests) == (0, (0,), [])
