"""The layout of late interaction, on a tokenizer of whole words."""

from base64 import b64encode

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from encserve_server.steps.request.options import InvalidArgument
from encserve_server.steps.tokenize.limits import estimated_tokens
from encserve_server.steps.tokenize.tokenization import Tokenization

WORDS = ["[CLS]", "[SEP]", "[UNK]", "[MASK]", "[Q]", "[D]", ".", *(f"w{number}" for number in range(20))]
CLS, SEP, UNKNOWN, MASK, QUERY, DOCUMENT, DOT = range(7)
LIMITS = {"max_length": 9, "max_texts_per_request": 4, "max_tokens_per_request": 40, "max_bytes_per_text": 100}
SIDE = {"marker": [], "prompt": "", "max_length": 9, "filled_to": 0, "filler": 0, "skipped": []}
QUERIES = {"marker": [QUERY], "max_length": 7, "filled_to": 7, "filler": MASK}
DOCUMENTS = {"marker": [DOCUMENT], "skipped": [DOT]}


@pytest.fixture
def tokenizer():
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    return tokenizer


SETTINGS = {
    "layout": "queries_and_documents",
    "limits": LIMITS,
    "tensors": ["attention_mask"],
    "late_interaction": {
        "query": {**SIDE, **QUERIES},
        "document": {**SIDE, **DOCUMENTS},
        "attends_to_filling": False,
        "mean": False,
        "width": 4,
    },
}
OPTIONS = {
    "truncate": "end",
    "input_type": "document",
    "rank": False,
    "document_vectors": None,
    "dimensions": None,
    "normalize": True,
}


def lay(tokenizer, texts, *, query=(), document=(), attends=False, limits=(), **options):
    late = {
        "query": {**SIDE, **QUERIES, **dict(query)},
        "document": {**SIDE, **DOCUMENTS, **dict(document)},
        "attends_to_filling": attends,
    }
    settings = SETTINGS | {
        "limits": {**LIMITS, **dict(limits)},
        "late_interaction": SETTINGS["late_interaction"] | late,
    }
    tokenization = Tokenization(tokenizer, settings)
    options = OPTIONS | options
    raw = {"text": [text.encode() for text in texts]}
    (answer,) = tokenization.tokenize([(tokenization.read(raw, options), options)])
    if isinstance(answer, InvalidArgument):
        raise answer
    return answer


def words(*numbers):
    return [WORDS.index(f"w{number}") for number in numbers]


def rows(answer, name="input_ids"):
    return [row.tolist() for row in np.split(answer[name], np.cumsum(answer["lengths"])[:-1])]


def test_documents_are_marked_and_what_is_skipped_has_no_vector(tokenizer):
    answer = lay(tokenizer, ["w1 . w2", ""])
    assert rows(answer) == [[CLS, DOCUMENT, *words(1), DOT, *words(2), SEP], [CLS, DOCUMENT, SEP]]
    assert answer["vector_at"].tolist() == [0, 1, 2, 4, 5, 6, 7, 8]
    assert answer["vector_count"].tolist() == [5, 3]
    nowhere = [-1, -1]
    assert answer["offsets"].tolist() == [nowhere, nowhere, [0, 2], [5, 7], *[nowhere] * 4]
    assert rows(answer, "attention_mask") == [[1] * 6, [1] * 3]
    assert answer["token_count"].tolist() == [6, 3]


@pytest.mark.parametrize("attends", [False, True])
def test_queries_are_filled_up_with_masks_that_have_vectors(tokenizer, attends):
    answer = lay(tokenizer, ["w1 .", "w1 w2 w3 w4 w5"], input_type="query", attends=attends)
    assert rows(answer) == [[CLS, QUERY, *words(1), DOT, SEP, MASK, MASK], [CLS, QUERY, *words(1, 2, 3, 4), SEP]]
    assert rows(answer, "attention_mask") == [[1] * 5 + [int(attends)] * 2, [1] * 7]
    assert answer["vector_count"].tolist() == [7, 7]
    assert answer["dropped_count"].tolist() == [0, 1]


def test_a_query_may_be_longer_than_it_is_filled_to(tokenizer):
    answer = lay(tokenizer, ["w1 w2 w3 w4 w5", "w1"], input_type="query", query={"max_length": 9, "filled_to": 5})
    assert answer["lengths"].tolist() == [8, 5]
    assert answer["dropped_count"].tolist() == [0, 0]


def test_a_prompt_is_read_with_the_text_and_its_tokens_stand_nowhere(tokenizer):
    answer = lay(tokenizer, ["w1"], document={"marker": [], "prompt": "w9 w8 "})
    assert rows(answer) == [[CLS, *words(9, 8, 1), SEP]]
    assert answer["offsets"].tolist() == [[-1, -1], [-1, -1], [-1, -1], [0, 2], [-1, -1]]


def test_a_query_comes_before_the_documents_that_are_to_be_ranked(tokenizer):
    answer = lay(tokenizer, ["w1", "w2", "w3 ."], rank=True)
    kinds = [row[1] for row in rows(answer)]
    assert kinds == [QUERY, DOCUMENT, DOCUMENT]
    assert answer["vector_count"].tolist() == [7, 4, 4]


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        (["w1"], {"rank": True}, "has 1 texts and rank is true; a query and one document at least"),
        (["w1"] * 5, {"rank": True}, "has 5 texts, the query among them; max_texts_per_request is 4"),
        (["w1"] * 5, {}, "has 5 texts; max_texts_per_request is 4"),
        (["w1", " ".join(["w1"] * 9)], {"truncate": "error"}, "document 1 has 12 tokens; its max_length is 9"),
        (["w1", " ".join(["w1"] * 9)], {"rank": True, "truncate": "error"}, "document 0 has 12 tokens; its max_length"),
        ([" ".join(["w1"] * 9), "w1"], {"rank": True, "truncate": "error"}, "query 0 has 12 tokens; its max_length"),
        (["w1"] * 4, {"input_type": "query", "limits": {"max_tokens_per_request": 20}}, "21 tokens; max_tokens_per"),
        (["w1", "."], {"document": {"marker": [], "skipped": [DOT, CLS, SEP]}}, "document 1 has no token with a"),
    ],
)
def test_refused(tokenizer, texts, options, message):
    with pytest.raises(InvalidArgument, match=message):
        lay(tokenizer, texts, **options)


def test_a_text_of_no_tokens(tokenizer):
    tokenizer.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    with pytest.raises(InvalidArgument, match="document 1 has no tokens"):
        lay(tokenizer, ["w1", ""], document={"marker": []})


def test_another_head_of_the_encoder_attends_to_all_of_its_tokens(tokenizer):
    settings = {"layout": "single_texts", "limits": LIMITS, "tensors": ["input_ids", "attention_mask"]}
    tokenization = Tokenization(tokenizer, settings)
    (answer,) = tokenization.tokenize([([["w1", "w2 w3"]], {"truncate": "end"})])
    assert answer["attention_mask"].tolist() == [1] * 7


def kept(*counts, dtype="<f4"):
    """Documents of so many vectors of 4 numbers, and these numbers."""
    own = [np.eye(count, 4, dtype=dtype) for count in counts]
    return [b64encode(each.tobytes()).decode() for each in own], own


def test_vectors_of_documents_stand_beside_the_query_alone(tokenizer):
    documents, vectors = kept(3, 1)
    answer = lay(tokenizer, ["w1 .", *documents], rank=True, document_vectors="float32")
    query = lay(tokenizer, ["w1 ."], input_type="query")
    assert query["document_vector"].shape == (0, 4)
    given = {name: answer.pop(name) for name in ("document_vector", "document_count")}
    assert given["document_count"].tolist() == [3, 1]
    np.testing.assert_array_equal(given["document_vector"], np.concatenate(vectors))
    for name, tensor in answer.items():
        np.testing.assert_array_equal(tensor, query[name], err_msg=name)


def test_the_door_counts_vectors_that_are_given(tokenizer, step):
    """The network sees none of them, but they have to be read and scored."""
    from encserve_server.steps.tokenize.step import Asked

    call = type("Call", (), {"id": "", "timeout_s": 0.0, "arrived_s": 0.0, "trace": None})
    limits = {**LIMITS, "max_tokens_per_request": 1_000, "max_bytes_per_text": 20_000}
    step._tokenization = Tokenization(tokenizer, SETTINGS | {"limits": limits})
    documents, _ = kept(640, 1)
    options = OPTIONS | {"rank": True, "lane": "bulk"}

    def tokens(*texts, **more):
        read = step._tokenization.read({"text": [text.encode() for text in texts]}, options | more)
        return step._queued_request(Asked(call, read, options | more)).tokens

    assert tokens("w1", "w2") == 2 * estimated_tokens("w1")
    assert tokens("w1", *documents, document_vectors="float32") == estimated_tokens("w1") + 11


def test_requests_beside_one_with_vectors_keep_their_own_tokens(tokenizer):
    """Vectors are no texts: as such they would take the tokens of the texts behind them."""
    documents, _ = kept(1)
    tokenization = Tokenization(tokenizer, SETTINGS)
    ranks = OPTIONS | {"rank": True, "document_vectors": "float32"}
    requests = [
        (tokenization.read({"text": [text.encode() for text in texts]}, options), options)
        for texts, options in ((["w1", *documents], ranks), (["w2 w3"], OPTIONS))
    ]
    assert tokenization.texts(requests[0][0]) == [["w1"], []]
    assert tokenization.rows(*requests[0]) == [("w1",)]
    _, other = tokenization.tokenize(requests)
    assert rows(other) == [[CLS, DOCUMENT, *words(2, 3), SEP]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": False}, "document_vectors is 'float32' and rank is false"),
        ({"document_vectors": "int8", "normalize": False}, "document_vectors is 'int8' and normalize is false"),
        ({"dimensions": 3}, "document 0 has 16 bytes; vectors of 3 numbers in float32 have 12 each"),
    ],
)
def test_vectors_that_cannot_be_ranked(tokenizer, options, message):
    documents, _ = kept(1)
    with pytest.raises(InvalidArgument, match=message):
        lay(tokenizer, ["w1", *documents], **{"rank": True, "document_vectors": "float32"} | options)
