"""BART and its kin, from checkpoint to certified pipeline, with the beams and rules that their checkpoints ask for."""

import json
from string import ascii_letters

import pytest
import transformers
from listed_generators import TRANSLATIONS, Library, write_listed_generator
from passages import PASSAGES
from small_generators import CONFIGS, SUMMARIES, write_generator
from trained_tokenizers import unigram_tokenizer

from encserve_export.config import ExportConfig
from encserve_export.errors import Unsupported
from encserve_export.export import export
from encserve_export.generation.asked_step import AskedStep
from encserve_export.reference.messages import Asked


@pytest.mark.slow
@pytest.mark.parametrize("family", CONFIGS)
def test_texts_are_those_of_transformers_with_the_beams_of_the_checkpoint(tmp_path, family):
    checkpoint = write_generator(tmp_path / "checkpoint", family, **SUMMARIES)
    manifest = export(ExportConfig(checkpoint=str(checkpoint), name="tiny", repository=tmp_path / "models"))
    assert manifest.parity["figures"]["tokens_identical"]["measured"] == 1
    asked_for = {"num_beams": 4, "early_stopping": "true", "length_penalty": 2.0, "no_repeat_ngram_size": 3}
    asked_for |= {"min_new_tokens": 5, "max_new_tokens": 16}
    assert {name: manifest.option_defaults[name] for name in asked_for} == asked_for

    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(checkpoint).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    texts = PASSAGES[2:7]
    with AskedStep(tmp_path / "models" / "tiny_generate" / "1") as step:
        searched = step.make([Asked({"text": [text]}, {}) for text in texts])
        likeliest = step.make([Asked({"text": [text]}, {"num_beams": 1}) for text in texts])
    for text, *made in zip(texts, searched, likeliest, strict=True):
        source = tokenizer(text, return_tensors="pt", truncation=True, max_length=64).input_ids
        right = [model.generate(source, num_beams=beams)[0, 1:].tolist() for beams in (4, 1)]
        assert [each.tokens for each in made] == right


def of_mbart():
    """Pieces with the languages of mBART-50, of which a token stands first in each text."""
    pieces = json.loads(unigram_tokenizer().to_str())["model"]["vocab"][5:]
    others = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0)]
    return transformers.MBart50Tokenizer(vocab=[*others, *map(tuple, pieces)], src_lang="de_DE", model_max_length=64)


def of_nllb():
    """Letters with the languages of NLLB."""
    vocabulary = {token: index for index, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", "▁", *ascii_letters])}
    return transformers.NllbTokenizer(vocab=vocabulary, merges=[], src_lang="deu_Latn", model_max_length=64)


LANGUAGES = {
    "mbart": (of_mbart, "de_DE", "fr_XX"),
    "m2m_100": (of_nllb, "deu_Latn", "fra_Latn"),
}


@pytest.mark.slow
@pytest.mark.parametrize("family", LANGUAGES)
def test_texts_are_translated_between_languages_as_by_transformers(tmp_path, family):
    make, default, language = LANGUAGES[family]
    checkpoint = write_generator(tmp_path / "checkpoint", family, make(), max_length=12)
    manifest = export(ExportConfig(checkpoint=str(checkpoint), name="tiny", repository=tmp_path / "models"))
    assert (manifest.option_defaults["source_language"], manifest.option_defaults["target_language"]) == (default, "")

    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(checkpoint).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint, src_lang=language)
    target = tokenizer.convert_tokens_to_ids(default)
    with AskedStep(tmp_path / "models" / "tiny_generate" / "1") as step:
        between = {"source_language": language, "target_language": default}
        made = step.make([Asked({"text": [text]}, between) for text in PASSAGES[:4]])
    for text, each in zip(PASSAGES, made, strict=False):
        source = tokenizer(text, return_tensors="pt", truncation=True, max_length=64).input_ids
        assert each.source.tolist() == source[0].tolist()
        assert tokenizer.convert_tokens_to_ids(language) in each.source
        assert each.tokens == model.generate(source, forced_bos_token_id=target)[0, 1:].tolist()
        assert each.tokens[0] == target


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
@pytest.mark.parametrize("family", TRANSLATIONS)
def test_tokenizers_that_look_pieces_up_in_a_list_are_served_as_by_transformers(tmp_path, family):
    """As checkpoints bring them, without a `tokenizer.json`."""
    translation, checkpoint = TRANSLATIONS[family], write_listed_generator(tmp_path, family)
    assert not (checkpoint / "tokenizer.json").exists()
    manifest = export(ExportConfig(checkpoint=str(checkpoint), name="tiny", repository=tmp_path / "models"))
    assert manifest.parity["figures"]["tokens_identical"]["measured"] == 1

    library, texts = Library(checkpoint, translation), [*PASSAGES[:3], "中文 ß 🔑 zzz"]
    with AskedStep(tmp_path / "models" / "tiny_generate" / "1") as step:
        made = step.make([Asked({"text": [text]}, translation.options) for text in texts])
    for text, each in zip(texts, made, strict=True):
        assert each.source.tolist() == library.source(text)[0].tolist()
        assert (each.tokens, each.text) == (library.tokens(text), library.text(text))


def test_a_network_that_only_generates_is_refused_for_other_tasks(tmp_path):
    checkpoint = write_generator(tmp_path / "checkpoint", "marian")
    config = ExportConfig(checkpoint=str(checkpoint), name="tiny", repository=tmp_path, task="feature-extraction")
    with pytest.raises(Unsupported, match="'marian' is served for text2text-generation alone, not feature-extraction"):
        export(config)
