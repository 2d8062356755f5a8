"""Spans that answer a question, against transformers by hand."""

import numpy as np
import pytest
from references import TEXTS, spans_by_hand

from .pipelines import SCORES


@pytest.mark.parametrize("name", ["answer-bert", "answer-roberta", "shared-spans"])
def test_answer(client, checkpoints, name):
    windows = 0
    for context in filter(None, TEXTS):
        spans, none, count = spans_by_hand(checkpoints[name], "Who is it?", context)
        windows += count
        answer = client.answer("Who is it?", context, model=name, top_k=5)
        (found,) = answer.spans
        ranked = sorted(spans.items(), key=lambda item: -item[1])[:5]
        assert [(span.start, span.end) for span in found] == [span for span, _ in ranked]
        assert [span.text for span in found] == [context[begin:end] for (begin, end), _ in ranked]
        np.testing.assert_allclose([span.score for span in found], [score for _, score in ranked], **SCORES)
        np.testing.assert_allclose(answer.no_answer_scores, [none], **SCORES)
        assert answer.dropped_counts.tolist() == [0]
    assert windows > len(TEXTS)


def test_no_answer_competes_where_it_may(client):
    context = "The harbour lights went out one by one."
    without = client.answer("Why?", context, model="answer-bert", top_k=100)
    with_ = client.answer("Why?", context, model="answer-bert", top_k=100, no_answer=True)
    (absent,) = [span for span in with_.spans[0] if not span.text]
    assert (absent.start, absent.end, absent.score) == (0, 0, without.no_answer_scores[0])
    assert [span for span in with_.spans[0] if span.text][:99] == without.spans[0][:99]
