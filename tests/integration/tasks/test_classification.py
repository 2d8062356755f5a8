"""Labels of texts, of pairs of texts, and labels that a request brings, against transformers."""

import itertools

import numpy as np
import pytest
from references import TEXTS, cut

from encserve import InvalidInput
from encserve_repository.versions import manifest_of

from .pipelines import SCORES


@pytest.mark.parametrize("name", ["classify-bert", "classify-roberta", "regress-bert", "shared"])
def test_classify(client, reference, name):
    pipeline = reference(name, "text-classification", top_k=None)
    answer = client.classify(TEXTS, model=name)
    for text, labels, scores in zip(TEXTS, answer.labels, answer.scores, strict=True):
        expected = pipeline({"text": text}, **cut(pipeline.tokenizer))
        assert list(labels) == [each["label"] for each in expected]
        np.testing.assert_allclose(scores, [each["score"] for each in expected], **SCORES)
    assert answer.dropped_counts[-1] > 0


def test_the_best_labels_alone(client):
    everything = client.classify(TEXTS, model="classify-bert")
    best = client.classify(TEXTS, model="classify-bert", top_k=1)
    assert best.labels == [labels[:1] for labels in everything.labels]
    np.testing.assert_array_equal(best.scores, everything.scores[:, :1])
    with pytest.raises(InvalidInput, match="option top_k is 4; it must be a whole number from 1 to 3"):
        client.classify(TEXTS, model="classify-bert", top_k=4)


def test_probabilities_are_those_of_the_fitted_temperature(client, repository):
    confidence = manifest_of(repository, "classify-calibrated", 1).parity["confidence"]
    answer = client.classify(TEXTS, model="classify-calibrated", probabilities=True)
    alone = client.classify(TEXTS, model="classify-calibrated", top_k=2)
    assert alone.probabilities is None
    np.testing.assert_array_equal(alone.scores, answer.scores[:, :2])
    logits = np.log(answer.scores.astype(np.float64)) / confidence["temperature"]  # up to a number for each text
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(answer.probabilities, expected, **SCORES)
    assert abs(answer.probabilities - answer.scores).max() > 0.01, "the temperature is another one than 1"
    with pytest.raises(InvalidInput, match="unknown option 'probabilities'"):
        client.classify(TEXTS, model="classify-bert", probabilities=True)


def test_classify_pairs(client, reference):
    pipeline = reference("pairs-bert", "text-classification", top_k=None)
    # The pipeline takes an empty second text for none at all, as the tokenizer does unless it gets lists.
    pairs = list(itertools.product(TEXTS, filter(None, TEXTS)))
    answer = client.classify([a for a, _ in pairs], text_pairs=[b for _, b in pairs], model="pairs-bert")
    for (text, pair), labels, scores in zip(pairs, answer.labels, answer.scores, strict=True):
        expected = pipeline({"text": text, "text_pair": pair}, **cut(pipeline.tokenizer))
        assert list(labels) == [each["label"] for each in expected]
        np.testing.assert_allclose(scores, [each["score"] for each in expected], **SCORES)


def test_pairs_where_single_texts_belong_and_the_other_way_round(client):
    with pytest.raises(InvalidInput, match="'pairs-bert' wants a second text for each"):
        client.classify(TEXTS, model="pairs-bert")
    with pytest.raises(InvalidInput, match="'classify-bert' takes single texts, no pairs"):
        client.classify(TEXTS, text_pairs=TEXTS, model="classify-bert")


@pytest.mark.parametrize(
    ("multi_label", "labels"), [(False, ["weather", "Geld 💰", "sport"]), (True, ["weather", "x"])]
)
def test_classify_zero_shot(client, reference, multi_label, labels):
    pipeline = reference("zero-shot-bert", "zero-shot-classification")
    texts = [text for text in TEXTS if text]
    for template in ("This example is {}.", "{}?"):
        chosen = {"multi_label": multi_label, "hypothesis_template": template}
        answer = client.classify_zero_shot(texts, labels, model="zero-shot-bert", **chosen)
        for text, found, scores in zip(texts, answer.labels, answer.scores, strict=True):
            expected = pipeline(text, candidate_labels=labels, **chosen)
            assert list(found) == expected["labels"]
            np.testing.assert_allclose(scores, expected["scores"], **SCORES)
