"""The rows of GLiNER2: words in lower case behind its brackets, and places within the text as it came."""

import random
import re
import sys
import unicodedata

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

from encserve_server.steps.request.options import InvalidArgument
from encserve_server.steps.tokenize.parts.gliner2_words import words_of
from encserve_server.steps.tokenize.tokenization import Tokenization

SIGNS = ["[CLS]", "[SEP]", "[UNK]", "w", "x", "y", "-", ".", "(", ")"]
OF_ALL, OF_ONE, TEXT, SAID = range(len(SIGNS), len(SIGNS) + 4)
OPENING, CLOSING = [8, OF_ALL], [9, 9, TEXT]
BEFORE = [*OPENING, *[2] * len("entities"), 8]
LIMITS = {"max_length": 23, "max_texts_per_request": 4, "max_tokens_per_request": 60, "max_bytes_per_text": 200_000}


def tokenization_of(**limits):
    """Each sign is a token."""
    tokenizer = Tokenizer(models.WordLevel({sign: index for index, sign in enumerate(SIGNS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair=None, special_tokens=[("[CLS]", 0), ("[SEP]", 1)]
    )
    tokenizer.add_special_tokens([AddedToken(token) for token in ("[P]", "[E]", "[SEP_TEXT]", "[DESCRIPTION]")])
    stated = {
        "marker": [OF_ONE],
        "separator": CLOSING,
        "opening": OPENING,
        "opening_roles": [0, 3],
        "between": [8],
        "reserved": [OF_ALL, OF_ONE, TEXT, SAID],
    }
    settings = {"layout": "gliner2_texts", "limits": LIMITS | limits, "tensors": [], "entities": stated}
    return Tokenization(tokenizer, settings)


def lay(texts, labels=("x", "Y"), truncate="end", descriptions=None, **limits):
    tokenization = tokenization_of(**limits)
    options = {"truncate": truncate, "labels": list(labels), "descriptions": descriptions}
    (answer,) = tokenization.tokenize([(tokenization.read({"text": [t.encode() for t in texts]}, options), options)])
    if isinstance(answer, InvalidArgument):
        raise answer
    return answer


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("See https://a.b/C, not WWW.d", ["see", "https://a.b/c,", "not", "www.d"]),
        ("a.b@c.de. @x-y e@f", ["a.b@c.de", ".", "@x", "-", "y", "e", "@f"]),
        ("\xe9a.b@c.de", ["\xe9a", ".b@c.de"]),
        ("noe\u0308l well_known-x -a-", ["noe\u0308l", "well_known-x", "-", "a", "-"]),
        (" \n\u3000", []),
    ],
)
def test_words(text, words):
    assert [word for word, _, _ in words_of(text)] == words


def test_words_are_those_of_one_expression():
    """That of the library, put together here anew."""
    marks = "".join(sign for sign in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(sign)[0] == "M")
    part = rf"[\w{marks}\u200c\u200d]+"
    whole = re.compile(
        rf"https?://[^\s]+|www\.[^\s]+|[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{{2,}}|@[a-z0-9_]+|{part}(?:[-_]{part})*|\S",
        re.IGNORECASE,
    )
    parts = ["a", "Bc", *".@-_ 1%!", "de", "http://", "www.", "\xe9", "e\u0308", "\u0130", "\u017f"]
    rng = random.Random(0)
    for _ in range(3_000):
        text = "".join(rng.choices(parts, k=rng.randint(0, 14)))
        found = [(text[begin:end], begin, end) for _, begin, end in words_of(text)]
        assert found == [(each.group(), each.start(), each.end()) for each in whole.finditer(text)], text
        assert [word for word, _, _ in words_of(text)] == [word.lower() for word, _, _ in found]


def test_a_run_of_what_may_be_an_address_is_looked_at_once():
    """The rule as one expression reads the rest of it at each of its words: here 2e10 signs."""
    assert sum(1 for _ in words_of("a." * 100_000)) == 200_000


def test_brackets_stand_before_each_text_and_a_full_stop_behind():
    answer = lay(["Wx y", ""])
    prompt = [*BEFORE, OF_ONE, 4, OF_ONE, 2, *CLOSING]
    assert answer["input_ids"].tolist() == [*prompt, 3, 4, 5, 7, *prompt, 7]
    roles = [0, 3, *[0] * 9, 2, 0, 2, 0, 0, 0, 0]
    assert answer["entity_roles"].tolist() == [*roles, 1, 0, 1, 1, *roles, 1]
    assert answer["word_count"].tolist() == [3, 1]
    assert answer["word_offsets"].tolist() == [[0, 2], [3, 4], [4, 4], [0, 0]]
    assert answer["dropped_count"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("x ", [[0, 1], [1, 1]]),
        ("www.x", [[0, 5]]),  # the full stop is of the link, to the library
        ("x.", [[0, 1], [1, 2]]),
        ("x!", [[0, 1], [1, 2]]),
    ],
)
def test_places_are_within_the_text(text, places):
    assert lay([text], max_length=30)["word_offsets"].tolist() == places


@pytest.mark.parametrize(
    ("truncate", "places"),
    [
        ("end", [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]),
        ("start", [[2, 3], [4, 5], [6, 7], [8, 9], [10, 11]]),
    ],
)
def test_words_that_do_not_fit_are_cut(truncate, places):
    answer = lay(["w x y w x y"], truncate=truncate)
    assert answer["lengths"].tolist() == [23]
    assert answer["word_offsets"].tolist() == places
    assert answer["dropped_count"].tolist() == [1]


@pytest.mark.parametrize("truncate", ["end", "start", "error"])
def test_the_full_stop_is_the_first_that_finds_no_room(truncate):
    """As in the library, which cuts behind so many words and puts the full stop behind the text before. It is none of
    the caller: where no word is cut, none is counted, and nothing refused."""
    answer = lay(["w x y w x", "w x y w"], truncate=truncate)
    assert answer["word_offsets"].tolist()[:6] == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [0, 1]]
    assert answer["word_offsets"].tolist()[-1] == [7, 7]
    assert answer["word_count"].tolist() == [5, 5]
    assert answer["dropped_count"].tolist() == [0, 0]
    assert answer["input_ids"].tolist()[22] == 4, "the last word"


def test_behind_the_last_words_of_a_text_stands_the_full_stop_where_there_is_room():
    answer = lay(["wxyw xy", "wxywxyw"], truncate="start")
    assert answer["word_offsets"].tolist() == [[5, 7], [7, 7]], "and not behind what the network does not see"
    assert answer["word_count"].tolist() == [2, 0]
    assert answer["dropped_count"].tolist() == [4, 7]


@pytest.mark.parametrize(
    ("texts", "labels", "truncate", "message"),
    [
        (["x"], ["a [E] b"], "end", "label 0 has a token in it that stands around labels"),
        (["x"], ["x", "[SEP_TEXT]"], "end", "label 1 has a token in it"),
        (["x"], ["xxxxxxxx"], "end", "leaves no room for a text: max_length is 23"),
        (["x " * 6], ["x", "y"], "error", "has 6 words, and 24 tokens with its labels"),
    ],
)
def test_what_cannot_be_read_is_named(texts, labels, truncate, message):
    with pytest.raises(InvalidArgument, match=re.escape(message)):
        lay(texts, labels, truncate)


def test_of_a_long_text_the_other_words_are_counted():
    answer = lay(["x " * 20_000])
    assert answer["lengths"].tolist() == [23]
    assert answer["dropped_count"].tolist() == [20_000 - 5]


def test_what_labels_mean_stands_before_them():
    answer = lay(["w"], ["x"], descriptions=["wy"], max_length=40)
    said = [*[2] * len("entities "), SAID, 2, 4, 2, 2, 3, 5]
    assert answer["input_ids"].tolist() == [*OPENING, *said, 8, OF_ONE, 4, *CLOSING, 3, 7]
    assert np.flatnonzero(answer["entity_roles"]).tolist() == [1, 19, 24, 25]


@pytest.mark.parametrize(
    ("descriptions", "message"),
    [
        (["w"], "the request has 1 descriptions and 2 labels; one of each label is expected"),
        (["w", "[E]"], "a description has a token in it that stands around labels"),
        (["w", "[DESCRIPTION]"], "a description has a token in it"),
    ],
)
def test_descriptions_that_cannot_be_read(descriptions, message):
    with pytest.raises(InvalidArgument, match=re.escape(message)):
        lay(["w"], descriptions=descriptions, max_length=90)
