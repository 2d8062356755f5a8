"""`embed_spans`: parts of texts, as they are given, or as the server finds them."""

import argparse
import json

import numpy as np
import pytest
from unit.client.verbs.conftest import ask  # noqa: F401

from encserve import InvalidInput
from encserve._commands.embedding import spans as command
from encserve.testing import fake_pipeline

TOKENS = fake_pipeline(task="token-embedding")


def spans(request):
    """As many vectors of three as spans are given, and one of each text otherwise."""
    given = request.parameters.get("spans")
    texts = request.inputs["text"]
    own = json.loads(given) if given else [[[0, len(text)]] for text in texts]
    count = sum(map(len, own))
    return {
        "embedding": np.arange(3 * count, dtype=np.float32).reshape(1, count, 3),
        "span_count": np.array([list(map(len, own))], np.int32),
        "span_offsets": np.array([span for each in own for span in each], np.int32).reshape(1, count, 2),
    }


def test_each_request_has_the_spans_of_its_own_texts(ask):  # noqa: F811
    own = [[(0, 1), (1, 3)], [], np.array([[0, 2]])]
    result, requests = ask(TOKENS, spans, "embed_spans", ["abc", "d", "ef"], spans=own)
    assert [json.loads(request.parameters["spans"]) for request in requests] == [[[[0, 1], [1, 3]], []], [[[0, 2]]]]
    assert [each.tolist() for each in result.spans] == [[[0, 1], [1, 3]], [], [[0, 2]]]
    assert [each.shape for each in result.vectors] == [(2, 3), (0, 3), (1, 3)]
    assert all("span_by" not in request.parameters for request in requests)


def test_a_request_has_no_more_spans_than_it_may_have_tokens(ask):  # noqa: F811
    pipeline = fake_pipeline(task="token-embedding", max_tokens_per_request=24)
    own = [[(0, 1)] * 7, [(0, 1)] * 19, [(0, 1)] * 5]
    result, requests = ask(pipeline, spans, "embed_spans", ["a", "b", "c"], spans=own)
    assert [list(map(len, json.loads(request.parameters["spans"]))) for request in requests] == [[7], [19, 5]]
    assert [len(each) for each in result.spans] == [7, 19, 5]


def test_without_more_they_are_sentences(ask):  # noqa: F811
    result, requests = ask(TOKENS, spans, "embed_spans", ["abc", "d"])
    assert requests[0].parameters == {"span_by": "sentence"}
    assert [each.tolist() for each in result.spans] == [[[0, 3]], [[0, 1]]]
    _, requests = ask(TOKENS, spans, "embed_spans", ["abc"], span_by="tokens", span_tokens=16)
    assert requests[0].parameters == {"span_by": "tokens", "span_tokens": 16}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spans": [[(0, 1)]], "span_by": "tokens"}, "spans and span_by are given"),
        ({"spans": [[(0, 1)], [(0, 1)]]}, "spans has 2 values for 1 texts"),
        ({"spans": [[(0, 1, 2)]]}, r"spans of text 0 are no list of \(begin, end\)"),
        ({"spans": [[(0, 1.5)]]}, r"spans of text 0 are no list of \(begin, end\)"),
        ({"spans": [7]}, r"spans of text 0 are no list of \(begin, end\)"),
        ({"span_by": "page"}, "span_by is 'page'"),
        ({"span_tokens": 4}, "span_tokens is given, and span_by is not 'tokens'"),
        ({"span_by": "sentence", "span_tokens": 4}, "span_tokens is given, and span_by is not 'tokens'"),
        ({"spans": [[(0, 1)]], "span_tokens": 4}, "span_tokens is given, and span_by is not 'tokens'"),
    ],
)
def test_what_are_no_spans_is_refused(ask, options, message):  # noqa: F811
    with pytest.raises(InvalidInput, match=message):
        ask(TOKENS, spans, "embed_spans", ["abc"], **options)


def test_the_command_takes_them_as_json():
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert parser.parse_args(["--model", "m", "--spans", "[[[0, 1]]]", "abc"]).spans == [[[0, 1]]]
