"""Filled masks and scored texts, against transformers."""

import numpy as np
import pytest
import torch
import transformers
from references import TEXTS

from encserve import Client

from .pipelines import SCORES


@pytest.mark.parametrize("name", ["mask-bert", pytest.param("mask-roberta", marks=pytest.mark.slow), "shared-words"])
def test_fill_mask(client, reference, name):
    pipeline = reference(name, "fill-mask")
    texts = [f"<mask> {text[:40]} <mask>." if index % 2 else f"{text[:40]}<mask>" for index, text in enumerate(TEXTS)]
    answer = client.fill_mask(texts, model=name, top_k=7)
    for text, masks in zip(texts, answer.masks, strict=True):
        expected = pipeline(text, top_k=7)
        expected = [expected] if isinstance(expected[0], dict) else expected
        assert len(masks) == len(expected) == text.count("<mask>")
        for fills, each in zip(masks, expected, strict=True):
            assert [(fill.token_id, fill.token) for fill in fills] == [(e["token"], e["token_str"]) for e in each]
            np.testing.assert_allclose([fill.score for fill in fills], [e["score"] for e in each], **SCORES)
    assert [len(fills) for fills in client.fill_mask(["<mask>"], model=name).masks[0]] == [5]


def score_by_hand(folder, text):
    """The sum over the tokens of a text of the logarithm of its probability where it alone is masked, and how many."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForMaskedLM.from_pretrained(folder).eval()
    ids = tokenizer(text, truncation=True, max_length=64)["input_ids"]
    total = 0.0
    for place in range(1, len(ids) - 1):
        masked = torch.tensor([[*ids[:place], tokenizer.mask_token_id, *ids[place + 1 :]]])
        with torch.inference_mode():
            total += float(model(input_ids=masked).logits[0, place].double().log_softmax(-1)[ids[place]])
    return total, len(ids) - 2


@pytest.mark.parametrize("name", ["mask-bert", pytest.param("mask-roberta", marks=pytest.mark.slow), "shared-words"])
def test_score(server, checkpoints, name):
    expected = [score_by_hand(checkpoints[name], text) for text in TEXTS]
    with Client(server.grpc_url) as client:
        answer = client.score(TEXTS, model=name)
        alone = client.score(TEXTS[1:2], model=name)
    np.testing.assert_allclose(answer.log_likelihoods, [total for total, _ in expected], rtol=1e-3)
    assert answer.scored_counts.tolist() == [count for _, count in expected]
    assert answer.token_counts.tolist() == [count + 2 for _, count in expected]
    assert answer.dropped_counts[-1] > 0
    assert (alone.log_likelihoods.tolist(), alone.scored_counts.tolist()) == ([0], [0])
