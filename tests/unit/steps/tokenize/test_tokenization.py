from types import SimpleNamespace

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from encserve_server.steps.request.options import InvalidArgument
from encserve_server.steps.tokenize.tokenization import Tokenization

WORDS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "query:", *(f"w{number}" for number in range(20))]
CLS, SEP = 1, 2
LIMITS = {"max_length": 6, "max_texts_per_request": 4, "max_tokens_per_request": 18, "max_bytes_per_text": 100}
SETTINGS = {
    "layout": "single_texts",
    "limits": LIMITS,
    "prompts": {"query": "query: "},
    "tensors": ["input_ids", "lengths", "token_count", "dropped_count"],
}


def options(truncate="end", prompt_name=None):
    return {"truncate": truncate, "prompt_name": prompt_name}


@pytest.fixture
def tokenizer():
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    tokenizer.enable_truncation(3)  # a tokenizer.json may carry settings of its own; they must not count
    tokenizer.enable_padding()
    return tokenizer


@pytest.fixture
def tokenization(tokenizer):
    return Tokenization(tokenizer, SETTINGS)


@pytest.fixture
def pairs(tokenizer):
    tensors = [*SETTINGS["tensors"], "token_type_ids"]
    return Tokenization(tokenizer, SETTINGS | {"layout": "text_pairs", "tensors": tensors})


def tokenize(tokenization, texts, chosen, second=()):
    """The tensors of one request, as attributes."""
    inputs = {"text": texts, "text_pair": second}
    raw = {name: [text.encode() for text in inputs[name]] for name in tokenization.inputs}
    (answer,) = tokenization.tokenize([(tokenization.read(raw, chosen), chosen)])
    if isinstance(answer, InvalidArgument):
        raise answer
    return SimpleNamespace(**answer)


def words(*numbers):
    return [WORDS.index(f"w{number}") for number in numbers]


def test_texts_are_laid_end_to_end(tokenization):
    packed = tokenize(tokenization, ["w1 w2", "", "w3"], options())
    assert packed.input_ids.tolist() == [CLS, *words(1, 2), SEP, CLS, SEP, CLS, *words(3), SEP]
    assert packed.lengths.tolist() == [4, 2, 3]
    assert packed.dropped_count.tolist() == [0, 0, 0]
    assert (packed.input_ids.dtype, packed.lengths.dtype, packed.dropped_count.dtype) == (np.int64, np.int64, np.int32)


@pytest.mark.parametrize(("side", "kept"), [("end", (1, 2, 3, 4)), ("start", (4, 5, 6, 7))])
def test_a_long_text_is_cut_between_its_special_tokens(tokenization, side, kept):
    packed = tokenize(tokenization, ["w1 w2 w3 w4 w5 w6 w7"], options(truncate=side))
    assert packed.input_ids.tolist() == [CLS, *words(*kept), SEP]
    assert packed.dropped_count.tolist() == [3]


def test_a_text_of_exactly_the_maximum_is_whole(tokenization):
    packed = tokenize(tokenization, ["w1 w2 w3 w4"], options(truncate="error"))
    assert packed.lengths.tolist() == [6]
    assert packed.dropped_count.tolist() == [0]


def test_truncate_error_names_text_and_limit(tokenization):
    with pytest.raises(InvalidArgument, match=r"^text 1 has 7 tokens; max_length is 6 and truncate is 'error'$"):
        tokenize(tokenization, ["w1", "w1 w2 w3 w4 w5"], options(truncate="error"))


def test_a_prompt_is_put_before_each_text(tokenization):
    packed = tokenize(tokenization, ["w1"], options(prompt_name="query"))
    assert packed.input_ids.tolist() == [CLS, WORDS.index("query:"), *words(1), SEP]


def test_a_tokenizer_without_special_tokens():
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    packed = tokenize(Tokenization(tokenizer, SETTINGS), ["w1 w2 w3 w4 w5 w6 w7"], options(truncate="start"))
    assert packed.lengths.tolist() == [6]
    assert packed.input_ids.tolist() == words(2, 3, 4, 5, 6, 7)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ([], "the request has no texts"),
        ([b"w1"] * 5, "the request has 5 texts; max_texts_per_request is 4"),
        ([b"w1", b"w" * 101], "text 1 has 101 bytes; max_bytes_per_text is 100"),
        ([b"ok", b"caf\xe9!"], r"text 1 is not valid UTF-8: .* at byte 3 \(0xe9\)"),
        ([b"\xed\xa0\x80"], r"text 0 is not valid UTF-8: .* at byte 0 \(0xed\)"),
    ],
)
def test_texts_that_cannot_be_taken_are_named(tokenization, raw, message):
    with pytest.raises(InvalidArgument, match=f"^{message}"):
        tokenization.read({"text": raw}, options())


def test_too_many_tokens_are_refused_after_the_cut(tokenization):
    with pytest.raises(InvalidArgument, match=r"^the request has 24 tokens; max_tokens_per_request is 18$"):
        tokenize(tokenization, ["w1 w2 w3 w4 w5"] * 4, options())


def test_a_pair_is_framed_and_typed(pairs):
    packed = tokenize(pairs, ["w1", "w2"], options(), ["w3 w4", ""])
    assert packed.input_ids.tolist() == [CLS, *words(1), SEP, *words(3, 4), SEP, CLS, *words(2), SEP, SEP]
    assert packed.token_type_ids.tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0, 1]
    assert packed.token_count.tolist() == [6, 4]


def test_one_text_is_paired_with_each_of_many(pairs):
    packed = tokenize(pairs, ["w1"], options(), ["w2", "w3", "w4"])
    assert packed.input_ids.tolist() == [id for n in (2, 3, 4) for id in (CLS, *words(1), SEP, *words(n), SEP)]


@pytest.mark.parametrize(
    ("first", "second", "side", "kept"),
    [
        ("w1 w2 w3 w4", "w5", "end", ((1, 2), (5,))),
        ("w1 w2 w3 w4", "w5", "start", ((3, 4), (5,))),
        ("w1", "w2 w3 w4", "end", ((1,), (2, 3))),
        ("w1 w2 w3", "w4 w5 w6", "end", ((1,), (4, 5))),  # an odd token goes to the second, as in transformers
    ],
)
def test_the_longer_of_a_pair_is_cut_first(pairs, first, second, side, kept):
    packed = tokenize(pairs, [first], options(truncate=side), [second])
    assert packed.input_ids.tolist() == [CLS, *words(*kept[0]), SEP, *words(*kept[1]), SEP]
    assert packed.dropped_count.tolist() == [len(f"{first} {second}".split()) - 3]


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (["w1", "w2"], ["w1", "w2", "w3"], "the request has 2 texts and 3 text_pairs; expected are as many"),
        (["w1"], [], "the request has no text_pairs"),
        (["w1"], ["w" * 101], "text_pair 0 has 101 bytes"),
    ],
)
def test_pairs_that_cannot_be_taken_are_named(pairs, first, second, message):
    with pytest.raises(InvalidArgument, match=f"^{message}"):
        tokenize(pairs, first, options(), second)


def test_a_prompt_goes_before_the_first_text_of_a_pair(pairs):
    answer = tokenize(pairs, ["w1"], options(prompt_name="query"), ["w2"])
    assert answer.input_ids.tolist() == [CLS, WORDS.index("query:"), *words(1), SEP, *words(2), SEP]
    assert answer.token_type_ids.tolist() == [0, 0, 0, 0, 1, 1]


def test_a_pair_that_may_not_be_cut(pairs):
    with pytest.raises(InvalidArgument, match=r"^pair 1 has 7 tokens; max_length is 6 and truncate is 'error'$"):
        tokenize(pairs, ["w1"], options(truncate="error"), ["w1", "w1 w2 w3"])


def test_a_request_that_cannot_be_laid_fails_alone(tokenization):
    error = options(truncate="error")
    requests = [(tokenization.read({"text": [text]}, error), error) for text in (b"w1", b"w1 w2 w3 w4 w5", b"w2")]
    first, wrong, last = tokenization.tokenize(requests)
    assert isinstance(wrong, InvalidArgument)
    assert (first["lengths"].tolist(), last["lengths"].tolist()) == ([3], [3])


@pytest.mark.parametrize(("layout", "second"), [("single_texts", []), ("text_pairs", ["w2", "", "w3"])])
def test_a_text_of_no_tokens_is_refused_where_the_tokenizer_adds_none(tokenizer, layout, second):
    tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B:1", special_tokens=[])
    tokenization = Tokenization(tokenizer, SETTINGS | {"layout": layout})
    name = "pair" if second else "text"
    with pytest.raises(InvalidArgument, match=f"{name} 1 has no tokens, .* at least 1 is expected"):
        tokenize(tokenization, ["w1", "", "w3"], options(), second)
