"""The page at `/` in Chromium, before real pipelines of every task: what it shows is what the SDK says."""

import re

import numpy as np
import pytest
from chromium import browser, opened  # noqa: F401
from playwright.sync_api import expect

STORY = "The lights of the harbour 😀 went out one by one, as the storm came in over Ghent."
TEXTS = ["a storm came in", "the harbour", "films about medicine 😀"]


@pytest.fixture
def page(browser, gateway):  # noqa: F811
    with opened(browser, f"{gateway}/") as page:
        yield page


def answer_of(page, name, **fields):
    """What the page shows of a pipeline that is asked with these fields, by their labels."""
    page.get_by_role("button", name=name, exact=True).click()
    for label, value in fields.items():
        field = page.locator("#question").get_by_label(re.compile(f"^{label.replace('_', ' ')}"))
        field.fill(value if isinstance(value, str) else "\n".join(value))
    page.get_by_role("button", name="Ask", exact=True).click()
    shown = page.locator("#answer")
    expect(shown).to_contain_text("tokens seen")
    return shown


def numbers(locator):
    return [float(text.replace("−", "-").replace(",", "")) for text in locator.all_text_contents()]


def bars_of(shown):
    return shown.locator(".bars .what").all_text_contents(), numbers(shown.locator(".bars .score"))


def test_who_is_there(page, client):
    names = sorted(pipeline.name for pipeline in client.models())
    expect(page.locator("#pipelines th[scope=row] button")).to_have_text(names)
    for pipeline in client.models():
        row = page.locator("#pipelines tbody tr", has=page.get_by_role("button", name=pipeline.name, exact=True))
        for told in (pipeline.task, pipeline.precision, pipeline.certificate[:12], str(pipeline.max_length), "ready"):
            expect(row).to_contain_text(told)


def test_vectors(page, client):
    shown = answer_of(page, "embed-bert", Texts=TEXTS)
    vectors = client.embed(TEXTS, model="embed-bert", normalize=True).vectors
    np.testing.assert_allclose(
        numbers(shown.locator(".map td:not(:empty)")), (vectors @ vectors.T).ravel(), atol=0.0051
    )
    counts = client.embed(TEXTS, model="embed-bert").token_counts
    expect(shown).to_contain_text(f"{counts.sum()} tokens seen, 0 dropped.")


def test_labels(page, client):
    labels, scores = bars_of(answer_of(page, "classify-bert", Texts=TEXTS[:1]))
    expected = client.classify(TEXTS[:1], model="classify-bert")
    assert labels == list(expected.labels[0])
    np.testing.assert_allclose(scores, expected.scores[0], atol=0.00051)


def test_labels_of_pairs(page, client):
    labels, _ = bars_of(answer_of(page, "pairs-bert", Texts=TEXTS[:2], Second_texts=TEXTS[1:]))
    expected = client.classify(TEXTS[:2], text_pairs=TEXTS[1:], model="pairs-bert").labels
    assert labels == [*expected[0], *expected[1]]


def test_own_labels(page, client):
    labels, scores = bars_of(answer_of(page, "zero-shot-bert", Text=STORY, Labels="weather, films"))
    expected = client.classify_zero_shot([STORY], ["weather", "films"], model="zero-shot-bert")
    assert labels == list(expected.labels[0])
    np.testing.assert_allclose(scores, expected.scores[0], atol=0.00051)


def test_documents_in_their_order(page, client):
    documents, scores = bars_of(answer_of(page, "rank-bert", Query="a storm", Documents=TEXTS))
    expected = client.rerank("a storm", TEXTS, model="rank-bert")
    assert documents == [TEXTS[index] for index in expected.indices]
    np.testing.assert_allclose(scores, expected.scores, atol=0.00051)


def test_entities_are_marked_where_they_stand(page, client):
    shown = answer_of(page, "tokens-bert", Text=STORY)
    (entities,) = client.classify_tokens([STORY], model="tokens-bert").entities
    assert entities
    marks = shown.locator(".marked mark")
    assert marks.locator(".label").all_text_contents() == [entity.label for entity in entities]
    shown.evaluate("it => it.querySelectorAll('.label').forEach(label => label.remove())")
    assert marks.all_text_contents() == [entity.text for entity in entities]
    expect(shown.locator(".marked")).to_have_text(STORY)


def test_an_answer_is_marked_in_its_context(page, client):
    shown = answer_of(page, "answer-bert", Question="what came in?", Context=STORY)
    (spans,) = client.answer("what came in?", STORY, model="answer-bert", top_k=3).spans
    expect(shown.locator(".marked mark")).to_have_text(spans[0].text)
    texts, scores = bars_of(shown)
    assert texts == [span.text for span in spans]
    np.testing.assert_allclose(scores, [span.score for span in spans], atol=0.00051)


def test_masks_are_filled(page, client):
    mask = client.pipeline("mask-bert").mask_token
    text = f"The {mask} of the harbour {mask} out."
    shown = answer_of(page, "mask-bert", Text=text)
    (masks,) = client.fill_mask([text], model="mask-bert").masks
    expect(shown.locator(".marked mark")).to_have_text([fills[0].token for fills in masks])
    assert bars_of(shown)[0] == [fill.token for fills in masks for fill in fills]


def test_tokens_that_meet(page, client):
    shown = answer_of(page, "embed-tokens-bert", A_question=TEXTS)
    question, *documents = client.embed_tokens(TEXTS, model="embed-tokens-bert", normalize=True).vectors
    scores = [(question @ document.T).max(1).sum() for document in documents]
    told = shown.get_by_text("late interaction").all_text_contents()
    np.testing.assert_allclose([float(text.split()[-1]) for text in told], scores, atol=0.00051)
    assert shown.locator(".marked").all_text_contents() == TEXTS[1:]


def test_terms(page, client):
    terms, weights = bars_of(answer_of(page, "embed-sparse-bert", Texts=TEXTS[:1]))
    expected = client.embed_sparse(TEXTS[:1], model="embed-sparse-bert")
    assert terms == [f"term {number}" for number in expected.token_ids[0][:10]]
    np.testing.assert_allclose(weights, expected.weights[0][:10], atol=0.00051)


def test_what_is_cut_is_told(page, client):
    shown = answer_of(page, "embed-bert", Texts=["word " * 3_000])
    counts = client.embed(["word " * 3_000], model="embed-bert")
    expect(shown.locator(".problem")).to_have_text(
        f"{counts.token_counts[0]} tokens seen, {counts.dropped_counts[0]} dropped."
    )
