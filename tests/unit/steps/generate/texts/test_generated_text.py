"""How one text ends, and what is left of its hypotheses."""

import numpy as np
import pytest
from trained_tokenizers import byte_level_tokenizer

from encserve_server.steps.generate.door.pace import Pace
from encserve_server.steps.generate.texts.beams import Beams
from encserve_server.steps.generate.texts.choice import Choice
from encserve_server.steps.generate.texts.pieces import Pieces
from encserve_server.steps.generate.texts.text import GeneratedText

END, VOCABULARY = 0, 8


def text_of(*, most=4, **choice):
    return GeneratedText(
        source=np.array([3]),
        choice=Choice(ends=(END,), **choice),
        max_new_tokens=most,
        pieces=Pieces(byte_level_tokenizer()),
        tell=lambda text, piece: None,
        lane="interactive",
    )


def logits(beams, **likely):
    """(K, V), with other values for some tokens, by their numbers behind a letter: t0=5.0."""
    made = np.zeros((beams, VOCABULARY), np.float32)
    for name, value in likely.items():
        made[:, int(name[1:])] = value
    return made


@pytest.mark.parametrize("beams", [1, 3])
def test_a_token_that_is_forced_upon_a_full_text_is_no_end_of_its_own(beams):
    text = text_of(beams=beams, last=(END,))
    while not text.ended:
        text.go_on(logits(beams, t0=-50.0))
    assert (len(text.tokens), text.tokens[-1], text.finish) == (4, END, "length")


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("last", [(), (END,)])
def test_a_token_that_was_chosen_ends_a_text(beams, last):
    text = text_of(beams=beams, last=last)
    while not text.ended:
        text.go_on(logits(beams, t0=50.0))
    assert (text.tokens, text.finish) == ([END], "eos")


def test_a_full_text_may_end_by_a_token_of_its_own_where_none_is_forced():
    text = text_of(most=1)
    text.go_on(logits(1, t0=50.0))
    assert text.finish == "eos"


@pytest.mark.parametrize("penalty", [-5.0, -9.9])
def test_long_hypotheses_are_better_than_none_whatever_the_penalty_makes_of_their_score(penalty):
    beams = Beams(Choice(ends=(END,), beams=3, length_penalty=penalty), 40)
    while not beams.over:
        beams.advance(logits(3, t0=-50.0))
    assert len(beams.best) == 40


def test_what_is_learnt_of_a_text_is_how_many_rounds_it_took_and_not_how_long_its_best_hypothesis_is():
    text, pace = text_of(most=20, beams=2, early_stopping="never", length_penalty=-1.0), Pace()
    text.go_on(logits(2, t0=2.0, t1=1.9))
    while not text.ended:
        text.go_on(logits(2, t1=1.0))
    assert len(text.tokens) < text.rounds
    pace.has_ended(text)
    assert pace.tokens_left(text_of(most=20)) == text.rounds
