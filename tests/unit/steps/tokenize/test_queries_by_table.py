"""The layout of sparse vectors whose queries a table answers, on a tokenizer of whole words."""

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from encserve_server.steps.request.options import InvalidArgument
from encserve_server.steps.tokenize.tokenization import Tokenization

WORDS = ["[CLS]", "[SEP]", "[UNK]", "ask", "tell", *(f"w{number}" for number in range(6))]
CLS, SEP, UNKNOWN, ASK, TELL, FIRST = range(6)
WEIGHTS = [9.0, 9.0, 0.0, 0.25, 0.5, 1.5, -2.0, 0.0, 3.0, 1.0, 1.0]
LIMITS = {"max_length": 5, "max_texts_per_request": 4, "max_tokens_per_request": 12, "max_bytes_per_text": 100}


@pytest.fixture
def lay():
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )

    def ask(*texts, longest=4, names=("", ""), **options):
        settings = {
            "layout": "queries_by_table",
            "limits": LIMITS,
            "tensors": ["input_ids", "lengths"],
            "prompts": {"query": "ask ", "document": "tell "},
            "query_table": {
                "max_length": longest,
                "prompt_names": dict(zip(("query", "document"), names, strict=True)),
                "weights": WEIGHTS,
            },
        }
        tokenization = Tokenization(tokenizer, settings)
        options = {"truncate": "end", "input_type": "query", "prompt_name": None, **options}
        raw = {"text": [text.encode() for text in texts]}
        (answer,) = tokenization.tokenize([(tokenization.read(raw, options), options)])
        if isinstance(answer, InvalidArgument):
            raise answer
        return answer

    return ask


def terms(answer):
    ends = np.cumsum(answer["query_term_count"])[:-1]
    parts = (np.split(answer[f"query_term_{what}"], ends) for what in ("id", "weight"))
    return [dict(zip(*(part.tolist() for part in pair), strict=True)) for pair in zip(*parts, strict=True)]


def test_each_token_of_a_query_has_its_weight_once_and_the_network_sees_none(lay):
    answer = lay("w3 w0 w3", "w1 w2 strange", "")
    assert terms(answer) == [{FIRST: 1.5, FIRST + 3: 3.0}, {FIRST + 1: -2.0}, {}]
    assert answer["token_count"].tolist() == [3, 3, 0]
    assert {name: (answer[name].shape, answer[name].dtype) for name in ("input_ids", "lengths")} == dict.fromkeys(
        ("input_ids", "lengths"), ((0,), np.int64)
    )


@pytest.mark.parametrize(
    ("truncate", "kept"), [("end", [{FIRST: 1.5, FIRST + 1: -2.0}, {}]), ("start", [{FIRST + 3: 3.0}, {}])]
)
def test_a_query_is_cut_at_its_own_length(lay, truncate, kept):
    answer = lay("w0 w1 w2 w3", "", longest=2, truncate=truncate)
    assert terms(answer) == kept
    assert (answer["token_count"].tolist(), answer["dropped_count"].tolist()) == ([2, 0], [2, 0])
    with pytest.raises(InvalidArgument, match="query 1 has 3 tokens; 2 are the most of a query and truncate is"):
        lay("w0", "w0 w1 w2", longest=2, truncate="error")


def test_a_query_without_a_length_is_whole_within_the_request(lay):
    assert lay("w0 " * 12, longest=None)["token_count"].tolist() == [12]
    with pytest.raises(InvalidArgument, match="the request has 13 tokens; max_tokens_per_request is 12"):
        lay("w0", "w0 " * 12, longest=None)


def test_documents_are_rows_as_ever(lay):
    answer = lay("w0 w1", "w0 w1 w2 w3", input_type="document")
    assert answer["input_ids"].tolist() == [CLS, FIRST, FIRST + 1, SEP, CLS, FIRST, FIRST + 1, FIRST + 2, SEP]
    assert (answer["lengths"].tolist(), answer["dropped_count"].tolist()) == ([4, 5], [0, 1])
    assert [len(answer[f"query_term_{what}"]) for what in ("count", "id", "weight")] == [0, 0, 0]


@pytest.mark.parametrize(
    ("names", "options", "expected"),
    [
        (("query", "document"), {}, {ASK: 0.25, FIRST: 1.5}),
        (("", "document"), {}, {FIRST: 1.5}),
        (("query", ""), {"prompt_name": ""}, {FIRST: 1.5}),
        (("query", ""), {"prompt_name": "document"}, {TELL: 0.5, FIRST: 1.5}),
    ],
)
def test_a_query_gets_the_prompt_of_queries(lay, names, options, expected):
    assert terms(lay("w0", names=names, **options)) == [expected]
    document = lay("w0", names=names, input_type="document", **options)
    told = options.get("prompt_name", names[1])
    assert document["input_ids"].tolist() == [CLS, *([TELL] if told else []), FIRST, SEP]
