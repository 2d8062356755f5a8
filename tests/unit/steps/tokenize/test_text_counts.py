"""What the tokenize step counts of texts, by which texts of another kind show."""

import numpy as np
import pytest
from tokenize_step import request_of
from tokenizers import Tokenizer, models
from trained_tokenizers import byte_level_tokenizer, unigram_tokenizer, wordpiece_tokenizer


def told(step, counter):
    step._metrics.tell(pytest.fail)
    return {tuple(dict(key).values()): metric.value() for key, metric in counter._metrics.items()}


def test_texts_are_counted_by_length_with_what_was_cut_and_by_unknown_tokens(triton, step):
    step.execute([request_of(triton, "a b", "a " * 20), request_of(triton, "a x y", "b")])
    counts = step._texts
    lengths = told(step, counts._tokens._buckets)
    assert (lengths["8.0",], lengths["16.0",], lengths["32.0",], lengths["+Inf",]) == (3, 3, 4, 4)
    assert told(step, counts._tokens._sum) == {(): 2 + 20 + 3 + 1}
    assert told(step, counts._cut) == {(): 1}
    assert told(step, counts._unknown) == {(): 1}
    assert told(step, counts._scripts)["Latin",] == 4


@pytest.mark.parametrize(
    ("lengths", "given"),
    [
        ([2, 2, 2, 2], {"window_count": [3, 1]}),
        ([2, 2, 2, 2], {"mask_count": [3, 0]}),
        ([3, 3, 1, 1], {}),
        ([8, 0], {}),
    ],
    ids=["windows", "a copy for each token", "a row for each label", "a text without tokens"],
)
def test_a_text_of_several_rows_with_an_unknown_token_counts_once(step, lengths, given):
    tensors = {
        "input_ids": [1, 0, 1, 0, 1, 0, 1, 1],
        "lengths": lengths,
        "token_count": [6, 2],
        "dropped_count": [0, 0],
    }
    step._texts.add([], {name: np.array(values) for name, values in {**tensors, **given}.items()})
    assert told(step, step._texts._unknown) == {(): 1}


def test_series_are_there_before_the_first_text(step):
    assert told(step, step._texts._cut) == {(): 0}
    assert set(told(step, step._texts._scripts).values()) == {0}


def test_refused_texts_and_questions_of_supervision_are_not_counted(triton, step, monkeypatch):
    monkeypatch.setattr(step._health, "_token", "secret")
    refused = request_of(triton, "a " * 20, parameters={"truncate": "error"})
    step.execute([refused, request_of(triton, "a", parameters={"health": "secret"})])
    assert told(step, step._texts._tokens._count) == {(): 0}


def test_a_count_that_fails_takes_nobody_the_answer(triton, step, monkeypatch):
    def no_memory(groups, tensors):
        raise MemoryError

    monkeypatch.setattr(step._texts, "add", no_memory)
    (answer,) = step.execute([request_of(triton, "a")])
    assert answer.error is None
    assert step._failures._errors._counts[("where", "execute"),] == 1


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("an English text", "Latin"),
        ("żółw", "Latin"),
        ("Ένα κείμενο", "Greek"),
        ("русский текст, 2026", "Cyrillic"),
        ("טקסט", "Hebrew"),
        ("نص عربي", "Arabic"),
        ("हिन्दी पाठ", "Devanagari"),
        ("ข้อความ", "Thai"),
        ("한국어", "Hangul"),
        ("ひらがなと漢字", "Kana"),
        ("中文文本", "Han"),
        ("ქართული", "other"),
        ("12.5 € … 😀", "none"),
        ("", "none"),
        ("42", "none"),
    ],
)
def test_the_script_of_a_text(triton, text, script):
    from encserve_server.steps.tokenize.text_counts import SCRIPTS, script_of

    assert script_of(text) == script
    assert script in SCRIPTS


@pytest.mark.parametrize("made", [wordpiece_tokenizer, unigram_tokenizer, byte_level_tokenizer])
def test_the_token_for_what_is_unknown(triton, made):
    from encserve_server.steps.tokenize.text_counts import unknown_id_of

    tokenizer = made()
    assert unknown_id_of(tokenizer) == tokenizer.token_to_id("<unk>") is not None


def test_a_tokenizer_without_such_a_token(triton):
    from encserve_server.steps.tokenize.text_counts import unknown_id_of

    assert unknown_id_of(Tokenizer(models.BPE({"a": 0}, []))) is None
