"""A Marian and an M2M100 with tokenizers of their own, behind a real Triton: a text in, its translation out."""

import pytest
from listed_generators import TRANSLATIONS, Library, published_listed
from passages import PASSAGES

TEXTS = [*PASSAGES[:4], "中文 ß 🔑 zzz", ">>deu<< Haus", ""]
VARIED = {"no_repeat_ngram_size": 1}
"""Random weights say a token again and again, unless they may not."""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
@pytest.mark.parametrize("family", TRANSLATIONS)
def test_translations_are_those_of_transformers(connected, exports, family):
    translation = TRANSLATIONS[family]
    library = Library(published_listed(family, exports)[1], translation)
    right = [library.text(text, **VARIED) for text in TEXTS]
    asked = {"model": family, **translation.options, **VARIED}
    answer = connected.generate(TEXTS, **asked)
    assert answer.texts == right
    assert answer.token_counts.tolist() == [library.source(text).shape[1] for text in TEXTS]
    assert len({*right}) > len(TEXTS) // 2
    with connected.generate_stream(TEXTS[0], **asked) as stream:
        assert "".join(stream) == right[0]
    searched = connected.generate(TEXTS[:2], num_beams=3, **asked)
    assert searched.texts == [library.text(text, num_beams=3, **VARIED) for text in TEXTS[:2]]
