"""Nothing of a word is left in which a pipeline found something."""

import pytest

from encserve_gateway.samples.patterns import Span, scrubbed
from encserve_gateway.samples.words import whole_words


@pytest.mark.parametrize(
    ("text", "piece", "left"),
    [
        ("Frau M\u00fcller kam", "M\u00fcl", "Frau [PER] kam"),
        ("Frau M\u00fcller kam", "ler", "Frau [PER] kam"),
        ("Frau Mu\u0308ller kam", "Mu", "Frau [PER] kam"),  # an accent that is a character of its own
        ("Mr O'Brien, 40", "Brien", "Mr [PER], 40"),
        ("M\u00fcller-L\u00fcdenscheidt kam", "M\u00fcl", "[PER] kam"),
        ("Ann Lee kam", "nn L", "[PER] kam"),
        ("(Lee)", "Lee", "([PER])"),
        ("(Lee)", "(", "[PER]Lee)"),
        ("\u7530\u4e2d\u3055\u3093", "\u7530\u4e2d", "[PER]\u3055\u3093"),  # which puts nothing between words
        ("...", "..", "[PER]."),
    ],
)
def test_the_word_is_taken_out(text, piece, left):
    at = text.index(piece)
    assert scrubbed(text, whole_words(text, [Span(at, at + len(piece), "PER")]), most=100) == left


def test_a_span_of_nothing_stays_one():
    assert whole_words("Lee", [Span(1, 1, "PER")]) == [Span(1, 1, "PER")]
