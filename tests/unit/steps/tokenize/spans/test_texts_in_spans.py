"""Which tokens a span has, and where sentences end."""

import subprocess
import sys

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from encserve_server.steps.request.options import InvalidArgument, OptionRules
from encserve_server.steps.tokenize.layouts import texts_in_spans
from encserve_server.steps.tokenize.parts.sentences import sentences_of
from encserve_server.steps.tokenize.tokenization import Tokenization

WORDS = ["[CLS]", "[SEP]", "[UNK]", *(f"w{number}" for number in range(10)), "ask"]
LIMITS = {"max_length": 9, "max_texts_per_request": 4, "max_tokens_per_request": 40, "max_bytes_per_text": 100}
NONE = {"spans": None, "span_by": None, "span_tokens": None}


def lay(texts, **options):
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair=None, special_tokens=[("[CLS]", 0), ("[SEP]", 1)]
    )
    settings = {
        "layout": "texts_in_spans",
        "limits": LIMITS,
        "prompts": {"ask": "ask "},
        "tensors": [],
        "marks_subwords": False,
        "unknown_id": 2,
    }
    tokenization = Tokenization(tokenizer, settings)
    options = {"truncate": "end", **NONE, **options}
    (answer,) = tokenization.tokenize([(tokenization.read({"text": [t.encode() for t in texts]}, options), options)])
    if isinstance(answer, InvalidArgument):
        raise answer
    return answer


def test_a_token_belongs_to_the_span_in_which_its_last_character_stands():
    answer = lay(["w1 w2 w3"], spans=[[[0, 4], [4, 8], [0, 8], [1, 2]]])
    assert answer["span_at"].tolist() == [[1, 2], [2, 4], [1, 4], [1, 2]]
    assert answer["span_offsets"].tolist() == [[0, 4], [4, 8], [0, 8], [1, 2]]


def test_places_are_those_of_all_texts_of_the_request():
    answer = lay(["w1 w2", "", "w3"], spans=[[[0, 2]], [], [[0, 2]]])
    assert answer["span_count"].tolist() == [1, 0, 1]
    assert answer["span_at"].tolist() == [[1, 2], [7, 8]]
    assert answer["input_ids"][[1, 7]].tolist() == [WORDS.index("w1"), WORDS.index("w3")]


def test_a_prompt_is_in_no_span():
    answer = lay(["w1 w2"], span_by="sentence", prompt_name="ask")
    assert answer["span_at"].tolist() == [[2, 4]]
    assert answer["span_offsets"].tolist() == [[0, 5]]


def test_so_many_tokens_and_the_rest():
    answer = lay(["w1 w2 w3 w4  w5"], span_by="tokens", span_tokens=2)
    assert answer["span_at"].tolist() == [[1, 3], [3, 5], [5, 6]]
    assert answer["span_offsets"].tolist() == [[0, 5], [6, 11], [13, 15]]


@pytest.mark.parametrize(("side", "sentences"), [("end", [[0, 9], [10, 20]]), ("start", [[6, 9], [10, 26]])])
def test_of_a_text_that_is_cut_what_is_left_of_its_sentences(side, sentences):
    text = "w1 w2 w3. w4 w5 w6 w7 w8 w9"
    answer = lay([text], span_by="sentence", truncate=side)
    assert answer["dropped_count"].tolist() == [2]
    found = [text[begin:end] for begin, end in answer["span_offsets"].tolist()]
    assert found == {"end": ["w1 w2 w3.", "w4 w5 w6 w7"], "start": ["w3.", "w4 w5 w6 w7 w8 w9"]}[side]


@pytest.mark.parametrize(
    ("spans", "options", "message"),
    [
        ([[[0, 2]], [[0, 2]]], {}, "option spans has 2 lists; the request has 1 texts"),
        ([[[0, 9]]], {}, "span 0 of text 0 goes from 0 to 9; 0 <= begin < end <= 8 is expected"),
        ([[[0, 2], [3, 3]]], {}, "span 1 of text 0 goes from 3 to 3"),
        ([[[-1, 2]]], {}, "span 0 of text 0 goes from -1 to 2"),
        ([[[2, 3]]], {}, "span 0 of text 0, from 2 to 3, has no token that the network saw"),
        ([[[0, 2]]], {"span_by": "tokens"}, "the options spans and span_by are given"),
        ([[[0, 2]] * 41], {}, "option spans has 41 spans; max_tokens_per_request is 40, and bounds them too"),
        ([[[0, 2]]], {"span_tokens": 2}, "option span_tokens is 2, and span_by is not 'tokens'"),
        (None, {"span_tokens": 2, "span_by": "sentence"}, "option span_tokens is 2, and span_by is not 'tokens'"),
    ],
)
def test_spans_that_cannot_be_are_refused_by_their_number(spans, options, message):
    with pytest.raises(InvalidArgument, match=message):
        lay(["w1 w2 w3"], spans=spans, **options)


@pytest.mark.parametrize(("side", "whole", "part"), [("end", [0, 21], [18, 23]), ("start", [6, 26], [3, 8])])
def test_a_span_of_which_a_part_was_cut_is_refused_by_its_number(side, whole, part):
    text = "w1 w2 w3 w4 w5 w6 w7 w8 w9"
    assert lay([text], spans=[[whole]], truncate=side)["span_offsets"].tolist() == [whole]
    seen = {"end": "0 to 20", "start": "6 to 26"}[side]
    message = f"span 1 of text 0 goes from {part[0]} to {part[1]}; the text was cut, and the network saw it from {seen}"
    with pytest.raises(InvalidArgument, match=message):
        lay([text], spans=[[whole, part]], truncate=side)


def test_a_token_of_the_last_mark_and_the_white_space_behind_it_is_of_its_sentence():
    text = "w1 w2.\n w3"
    within = np.array([[0, 2], [3, 5], [5, 7], [7, 8], [8, 10]], np.int32)  # the fourth is of white space alone
    spans = list(texts_in_spans.sentence_spans(text, within, (0, len(text))))
    assert [tuple(span) for span in spans] == [(0, 6, 0, 3), (8, 10, 4, 5)]


def test_sentences_that_are_cut_off_are_not_looked_for(monkeypatch):
    looked_at = []
    monkeypatch.setattr(texts_in_spans, "sentences_of", lambda text: looked_at.append(text) or sentences_of(text))
    lay(["w1 w2 w3. w4 w5 w6 w7 w8 w9"], span_by="sentence")
    assert looked_at == ["w1 w2 w3. w4 w5 w6 w7"]


def test_the_work_grows_with_a_run_of_marks_and_not_with_its_square():
    """In a process of its own: while a regular expression looks for a match nothing else of its process runs."""
    program = (
        "from encserve_server.steps.tokenize.parts.sentences import sentences_of\n"
        "text = '.' * 262_144 + 'x'\n"
        "assert [*sentences_of(text)] == [(0, len(text))]"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


RULES = OptionRules({"spans": {"kind": "spans", "default": None, "most": 3}})


@pytest.mark.parametrize("value", ["", "7", "[7]", "[[7]]", "[[[1]]]", "[[[1, 2.5]]]", "[[[true, 2]]]", "[" * 9999, 7])
def test_what_is_no_list_of_spans_is_refused(value):
    with pytest.raises(InvalidArgument, match="it must be a JSON list with a list for each text"):
        RULES.check({"spans": value})


def test_more_spans_than_there_may_be_are_refused():
    assert RULES.check({"spans": "[[[0, 1], [1, 2]], [[0, 1]]]"})["spans"] == [[[0, 1], [1, 2]], [[0, 1]]]
    with pytest.raises(InvalidArgument, match="option spans has 4 spans; 3 are the most"):
        RULES.check({"spans": "[[[0, 1], [1, 2]], [[0, 1], [0, 1]]]"})


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ('He said "No." Then 3.5 metres...', ['He said "No."', "Then 3.5 metres..."]),
        ("  a line\n\n another \n", ["a line", "another"]),
        (
            "\u4eca\u5929\u4e0b\u96e8\u3002\u660e\u5929\u5462\uff1f\u4e0d\u77e5\u9053",
            ["今天下雨。", "明天呢？", "不知道"],
        ),
        ("", []),
        (" \n ", []),
    ],
)
def test_where_sentences_end(text, sentences):
    assert [text[begin:end] for begin, end in sentences_of(text)] == sentences
    places = np.array([*sentences_of(text)]).reshape(-1, 2)
    assert (places[1:, 0] >= places[:-1, 1]).all()
