import numpy as np
import pytest

from encserve_server.steps.head.answers.spans import Head, spans_of_window

OPTIONS = {"top_k": 3, "max_answer_length": 2, "no_answer": False, "align_to_words": False}
QUESTION = [(-1, -1)] * 3  # a special token, the question, a special token
CONTEXT = "ab cd ef"
PLACES = np.array([*QUESTION, (0, 2), (3, 5), (6, 8), (-1, -1)], np.int32)


def logits(starts, ends):
    return np.array([starts, ends], np.float32).T


def answer(rows, window_count=(1,), lengths=(7,), **options):
    inputs = {
        "logits": rows,
        "lengths": np.array(lengths),
        "window_count": np.array(window_count, np.int32),
        "offsets": np.concatenate([PLACES] * len(lengths)),
        "word_offsets": np.concatenate([PLACES] * len(lengths)),
        "text_pair": np.array([CONTEXT.encode()] * len(window_count), object),
    }
    return Head({}).answer(inputs, OPTIONS | options)


FIRST_TO_SECOND = logits([0, 9, 9, 5, 0, 0, 9], [0, 9, 9, 0, 5, 0, 9])


def test_the_best_spans_are_of_the_context_alone():
    found = answer(FIRST_TO_SECOND)
    assert found["answer"].tolist() == [[b"ab cd", b"ab", b"cd"]]
    assert found["start"].tolist() == [[0, 0, 3]]
    assert found["end"].tolist() == [[5, 2, 5]]
    p = np.exp([0, 5, 0, 0]) / np.exp([0, 5, 0, 0]).sum()  # no answer, and three tokens of context
    assert found["score"][0] == pytest.approx([p[1] * p[1], p[1] * p[0], p[1] * p[0]])
    assert found["no_answer_score"] == pytest.approx([p[0] * p[0]])


def test_a_span_never_ends_before_it_starts_nor_grows_too_long():
    backwards = logits([0, 0, 0, 0, 0, 9, 0], [0, 0, 0, 9, 0, 0, 0])
    for span in answer(backwards, top_k=6)["answer"][0]:
        assert span in (b"ab", b"ab cd", b"cd", b"cd ef", b"ef", b"")
    assert b"ab cd ef" in answer(backwards, top_k=6, max_answer_length=3)["answer"][0]


def test_places_beyond_the_spans_that_there_are():
    found = answer(FIRST_TO_SECOND, top_k=9)
    assert found["start"][0, 5:].tolist() == [-1] * 4
    assert found["score"][0, 5:].tolist() == [0] * 4


def test_windows_share_the_spans_and_the_least_score_of_no_answer():
    surer = logits([0, 9, 9, 9, 0, 0, 9], [0, 9, 9, 0, 9, 0, 9])
    found = answer(np.concatenate([FIRST_TO_SECOND, surer]), window_count=(2,), lengths=(7, 7))
    alone = answer(surer)
    assert found["answer"][0, 0] == b"ab cd"
    assert found["score"][0, 0] == alone["score"][0, 0]
    assert found["no_answer_score"] == alone["no_answer_score"]


def test_no_answer_may_win():
    none = logits([9, 0, 0, 0, 0, 0, 0], [9, 0, 0, 0, 0, 0, 0])
    assert answer(none)["answer"][0, 0] != b""
    found = answer(none, no_answer=True)
    assert (found["answer"][0, 0], found["start"][0, 0], found["end"][0, 0]) == (b"", 0, 0)
    assert found["score"][0, 0] == found["no_answer_score"][0]


def test_equal_places_are_one_span():
    places = PLACES.copy()
    places[3:5] = 0, 5  # two tokens of one word
    _, spans = spans_of_window(FIRST_TO_SECOND, places, 9, 3)
    assert [span for span, _ in spans].count((0, 5)) == 1
