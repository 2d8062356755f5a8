"""Which texts a certificate asks: the least number in any case, and more while there is time, each once."""

from encserve_export.certificate.certificate_texts import LEAST, CertificateTexts
from encserve_export.texts.parts import Part, corpus_of


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
