"""Which texts a certificate asks: the least number in any case, and more while there is time, each once."""

import pytest

from encserve_export.certificate.certificate_texts import LEAST, CertificateTexts
from encserve_export.texts.parts import Part, corpus_of
from encserve_export.texts.sampling import BYTES_PER_TOKEN


def test_at_least_two_hundred_distinct_texts_come_first():
    first = CertificateTexts().first(256)
    assert len(first) == len({*first}) == LEAST == 200


def test_further_texts_are_others_and_all_that_are_left():
    texts = CertificateTexts()
    first = texts.first(64)
    further = texts.further(64, first)
    assert not {*first} & {*further}
    assert len(further) == len({*further})
    assert {each.text for each in corpus_of(Part.CERTIFICATE).texts} <= {*first, *further}


def test_any_beginning_of_the_further_texts_has_all_kinds():
    texts = CertificateTexts()
    of_text = {each.text: each for each in corpus_of(Part.CERTIFICATE).texts}
    some = [of_text[text] for text in texts.further(256, texts.first(256))[:100] if text in of_text]
    assert len({each.script for each in some}) > 15
    assert len({each.domain for each in some}) > 10


def test_all_of_them_come_first_where_all_are_asked():
    first = CertificateTexts(full=True).first(64)
    assert {each.text for each in corpus_of(Part.CERTIFICATE).texts} < {*first}
    assert CertificateTexts(full=True).further(64, first) == []


@pytest.mark.parametrize("longest", [256, 8_192])
def test_several_texts_are_as_long_as_the_network_takes(longest):
    """Their answers are compared with the library's by value; the scan of lengths looks for NaN alone."""
    sizes = [len(text.encode()) for text in CertificateTexts().first(longest)]
    assert sum(size >= BYTES_PER_TOKEN * longest / 2 for size in sizes) >= 5
    assert max(sizes) >= BYTES_PER_TOKEN * longest - 4  # of a character of several bytes less
