"""Labels before the words of each text, and which token begins a word."""

import re
import tracemalloc

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

from encserve_server.steps.request.options import InvalidArgument
from encserve_server.steps.tokenize.parts.words import words_of
from encserve_server.steps.tokenize.tokenization import Tokenization

WORDS = ["[CLS]", "[SEP]", "[UNK]", "w", "x", "y", "-"]
MARKER, SEPARATOR = len(WORDS), len(WORDS) + 1
LIMITS = {"max_length": 14, "max_texts_per_request": 4, "max_tokens_per_request": 40, "max_bytes_per_text": 100}


def tokenization_of(**limits):
    """Each of the letters w, x, y and hyphens is a token."""
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Replace("~", "")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair=None, special_tokens=[("[CLS]", 0), ("[SEP]", 1)]
    )
    tokenizer.add_special_tokens([AddedToken("<E>"), AddedToken("<S>")])
    stated = {"marker": [MARKER], "separator": [SEPARATOR], "max_words": 5}
    settings = {"layout": "labelled_words", "limits": LIMITS | limits, "tensors": [], "entities": stated}
    return Tokenization(tokenizer, settings)


def lay(texts, labels=("x", "y"), truncate="end", **limits):
    tokenization = tokenization_of(**limits)
    options = {"truncate": truncate, "labels": list(labels)}
    (answer,) = tokenization.tokenize([(tokenization.read({"text": [t.encode() for t in texts]}, options), options)])
    if isinstance(answer, InvalidArgument):
        raise answer
    return answer


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ada-Lovelace met_him!", ["Ada-Lovelace", "met_him", "!"]),
        ("-a- 中文 x--y \U0001f600", ["-", "a", "-", "中文", "x", "-", "-", "y", "\U0001f600"]),
        (" \n\u3000", []),
    ],
)
def test_words(text, words):
    found = list(words_of(text))
    assert [word for word, _, _ in found] == words
    assert all(text[begin:end] == word for word, begin, end in found)


def test_labels_stand_before_each_text():
    answer = lay(["wx y", ""])
    prompt = [0, MARKER, 4, MARKER, 5, SEPARATOR]
    assert answer["input_ids"].tolist() == [*prompt, 3, 4, 5, 1, *prompt, 1]
    assert answer["entity_roles"].tolist() == [0, 2, 0, 2, 0, 0, 1, 0, 1, 0, 0, 2, 0, 2, 0, 0, 0]
    assert answer["word_count"].tolist() == [2, 0]
    assert answer["word_offsets"].tolist() == [[0, 2], [3, 4]]
    assert answer["token_count"].tolist() == [10, 7]
    assert answer["dropped_count"].tolist() == [0, 0]


def test_a_text_is_cut_at_its_start_where_that_is_asked_for():
    answer = lay(["w x y w x y wy"], truncate="start")
    assert answer["word_offsets"].tolist() == [[4, 5], [6, 7], [8, 9], [10, 11], [12, 14]]
    assert lay(["wxywx wxy yy"], truncate="start")["word_offsets"].tolist() == [[6, 9], [10, 12]]


def test_a_word_of_no_tokens_is_none():
    answer = lay(["w ~ x"])
    assert answer["word_offsets"].tolist() == [[0, 1], [4, 5]]
    assert answer["dropped_count"].tolist() == [0]


@pytest.mark.parametrize(
    ("text", "kept", "dropped"),
    [("w x y w x y w", 5, 2), ("wx wxy wxyx yy", 2, 6), ("wxywxywxy", 0, 9)],
)
def test_a_text_is_cut_behind_a_whole_word(text, kept, dropped):
    answer = lay([text])
    assert len(answer["word_offsets"]) == answer["word_count"].tolist()[0] == kept
    assert answer["dropped_count"].tolist() == [dropped]
    with pytest.raises(InvalidArgument, match=r"text 0 has .* 5 words and max_length 14 are the most"):
        lay([text], truncate="error")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["x", "a<E>b"], "label 1 has the marker of labels in it"),
        (
            ["x" * 11],
            "the 1 labels have 13 tokens with their markers, which leaves no room for a text: max_length is 14",
        ),
    ],
)
def test_labels_that_cannot_be_read(labels, message):
    with pytest.raises(InvalidArgument, match=re.escape(message)):
        lay(["w"], labels)


def test_what_the_words_are_is_in_the_order_of_the_tokens():
    answer = lay(["w x", "y"])
    begins = np.flatnonzero(answer["entity_roles"] == 1)
    assert answer["input_ids"][begins].tolist() == [3, 4, 5]


@pytest.mark.parametrize(("truncate", "words", "tokens"), [("end", 5, 7), ("start", 4, 6)])
def test_words_that_no_network_sees_are_counted_and_not_kept(truncate, words, tokens):
    text = "w xy " * 10_000
    tracemalloc.start()
    answer = lay([text], truncate=truncate, max_bytes_per_text=len(text))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer["word_count"].tolist() == [words]
    assert answer["dropped_count"].tolist() == [30_000 - tokens]
    assert peak < 1_500_000, "all words are more than three MB"


def test_the_door_and_the_counts_of_drift_know_labels_from_texts(triton, step):
    from encserve_server.steps.tokenize.door_trace import tokenized
    from encserve_server.steps.tokenize.step import Asked

    step._tokenization, step._max_length = tokenization_of(max_bytes_per_text=4_000), 300
    texts, options = ["w x " * 500, "y", "w x y"], {"truncate": "end", "labels": ["x", "y"], "lane": "bulk"}
    groups = step._tokenization.read({"text": [text.encode() for text in texts]}, options)
    call = type("Call", (), {"id": "", "timeout_s": 0.0, "arrived_s": 0.0, "trace": None, "health_token": ""})
    asked = Asked(call, groups, options)
    queued = step._queued_request(asked)
    assert (queued.texts, queued.size) == (3, 2_000 + 1 + 5 + 2)
    assert queued.tokens == 300 + (2 + 2 + 2) + (2 + 2 + 3), "at most max_length each, and the labels before each"
    (tensors,) = step._tokenization.tokenize([(groups, options)])
    assert tokenized(step._tokenization.texts(groups), tensors, 1)["encserve.texts"] == 3
    step._count_texts([asked], [tensors])
    step._metrics.tell(pytest.fail)
    scripts = {dict(key)["script"]: metric.value() for key, metric in step._texts._scripts._metrics.items()}
    assert (scripts["Latin"], sum(scripts.values())) == (3, 3)
