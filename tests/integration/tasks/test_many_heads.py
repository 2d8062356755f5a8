"""Heads that share one encode step, beside each other; what each answers by itself is held against transformers where
those of one head are."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from told_metrics import wait_for_metric

from encserve import Client

TEXTS = ["The harbour lights went out one by one.", "", "x", "lol 😂 that movie", "a much longer text than those " * 9]
NEAR = {"rtol": 0, "atol": 1e-5}


@pytest.fixture
def client(server):
    """A client that sends each text by itself."""
    with Client(server.grpc_url, timeout_s=300, texts_per_request=1) as client:
        yield client


def test_each_head_answers_beside_the_others_as_when_it_is_asked_alone(client):
    """Requests of all heads meet in one batch: texts of no mask, texts with masks that are not meant to be filled, and
    pairs."""
    masked = [f"{text[:40]} <mask> and <mask>" for text in TEXTS]
    texts = [*TEXTS, "a <mask> that is a word like any other"]
    expected_tags = client.classify_tokens(texts, model="shared-tags", aggregation="none").entities
    expected_labels = client.classify(texts, model="shared")
    expected_fills = client.fill_mask(masked, model="shared-words").masks
    expected_scores = client.score(TEXTS, model="shared-words").log_likelihoods
    expected_spans = client.answer("Who?", TEXTS[-1], model="shared-spans", top_k=3).spans
    assert any(expected_tags)
    with ThreadPoolExecutor(5) as threads:
        for _ in range(5):
            classified = threads.submit(client.classify, texts, model="shared")
            tagged = threads.submit(client.classify_tokens, texts, model="shared-tags", aggregation="none")
            filled = threads.submit(client.fill_mask, masked, model="shared-words")
            scored = threads.submit(client.score, TEXTS, model="shared-words")
            answered = threads.submit(client.answer, "Who?", TEXTS[-1], model="shared-spans", top_k=3)
            assert classified.result().labels == expected_labels.labels
            np.testing.assert_allclose(classified.result().scores, expected_labels.scores, **NEAR)
            assert_near(
                tagged.result().entities, expected_tags, lambda entity: (entity.label, entity.start, entity.end)
            )
            fills = [mask for text in filled.result().masks for mask in text]
            assert_near(fills, [mask for text in expected_fills for mask in text], lambda fill: fill.token_id)
            np.testing.assert_allclose(scored.result().log_likelihoods, expected_scores, rtol=1e-4)
            assert_near(answered.result().spans, expected_spans, lambda span: (span.start, span.end))


def test_each_head_counts_the_times_of_its_own_answers(server, client):
    """In bulk, where nobody else asks these."""
    name = "encserve_request_duration_seconds_count"
    client.classify_tokens(TEXTS, model="shared-tags", priority="bulk")
    client.classify(TEXTS[:2], model="shared", priority="bulk")
    wait_for_metric(server, name, len(TEXTS), pipeline="shared-tags", lane="bulk")
    wait_for_metric(server, name, 2, pipeline="shared", lane="bulk")


def assert_near(ours, theirs, what):
    """Of each text the same answers, with all but the same scores."""
    for each, expected in zip(ours, theirs, strict=True):
        assert list(map(what, each)) == list(map(what, expected))
        np.testing.assert_allclose([answer.score for answer in each], [answer.score for answer in expected], **NEAR)
