"""The tokenizers of Marian and M2M100, built of parts, beside those of transformers: the same tokens and texts."""

import json
import random
from types import SimpleNamespace

import pytest
import transformers
from listed_tokenizers import STRANGERS, trained, write_m2m100, write_marian

from encserve_export.checkpoint.listed.tokenizer import fast_listed_tokenizer, pieces_file
from encserve_export.checkpoint.reference_tokenizers import DIFFICULT_TEXTS
from encserve_export.checkpoint.sentence.transformer_settings import TransformerSettings
from encserve_export.checkpoint.tokenizer import drop_strangers, load_tokenizer
from encserve_export.errors import CheckpointError, Unsupported
from encserve_export.generation.files import limits_of
from encserve_export.texts.parts import Part, corpus_of
from encserve_server.steps.generate.texts.pieces import Pieces
from encserve_server.steps.tokenize.listed.pieces import ListedPieces

KINDS = {transformers.MarianTokenizer: "marian", transformers.M2M100Tokenizer: "m2m_100"}
RANGES = ((32, 127), (0x80, 0x800), (0x300, 0x370), (0x2000, 0x2070), (0x800, 0xD800), (0xE000, 0x110000), (0, 32))
ODD = ["  ", " ", "\u3000", "\u00a0", "\t", "\n", "▁", "é", "e\u0301", "ﬁ", "\u200b", "😀", "Ａ"]
SPELLED = ["</s>", "<unk>", "<pad>", "__fr__", ">>xxx<<", "<s>", *STRANGERS]
CORPUS = [each.text for part in Part for each in corpus_of(part).texts]
MADE = {
    "marian, likeliest": (write_marian, "unigram", {}),
    "marian, joined": (write_marian, "bpe", {"remove_extra_whitespaces": False}),
    "m2m100, joined": (write_m2m100, "bpe", {}),
    "m2m100, likeliest": (write_m2m100, "unigram", {"normalization_rule_name": "nfkc_cf", "add_dummy_prefix": False}),
}


def text_of(chance):
    """Any characters, or a part of a text with odd ones in it."""
    if chance.random() < 0.3:
        return "".join(chr(chance.randrange(*chance.choice(RANGES))) for _ in range(chance.randrange(14)))
    whole = chance.choice(CORPUS)
    begin = chance.randrange(len(whole))
    text = list(whole[begin : begin + chance.randrange(1, 40)])
    for _ in range(chance.randrange(5)):
        odd = chance.choice([*ODD, *SPELLED, chr(chance.randrange(*chance.choice(RANGES)))])
        text.insert(chance.randrange(len(text) + 1), odd)
    if chance.random() < 0.1:
        text.insert(0, chance.choice([">>fra<<", ">>fra<< ", ">>none<<", ">>"]))
    return "".join(text)


@pytest.fixture(scope="module", params=MADE)
def both(request, tmp_path_factory):
    write, kind, options = MADE[request.param]
    slow = write(tmp_path_factory.mktemp("listed"), trained(CORPUS[:300], kind, **options))
    return slow, fast_listed_tokenizer(slow)


def check_tokens(both, texts):
    slow, fast = both
    wrong = [text for text in texts if fast(text)["input_ids"] != slow(text)["input_ids"]]
    assert not wrong, (
        len(wrong),
        [(text, slow.tokenize(text), slow(text).input_ids, fast(text)["input_ids"]) for text in wrong[:5]],
    )


def test_tokens_are_those_of_transformers(both):
    chance = random.Random(0)
    drawn = [text_of(chance) for _ in range(600)]
    check_tokens(both, [*DIFFICULT_TEXTS.values(), *SPELLED, "", " ", "\u0085", *CORPUS[:100], *drawn])
    slow, fast = both
    assert (
        fast(CORPUS[0], truncation=True, max_length=9)["input_ids"]
        == slow(CORPUS[0], truncation=True, max_length=9).input_ids
    )


@pytest.mark.slow
def test_tokens_of_many_texts_are_those_of_transformers(both):
    chance = random.Random(1)
    check_tokens(both, [*CORPUS, *(text_of(chance) for _ in range(25_000))])


def test_texts_are_those_of_transformers_and_so_are_their_pieces_together(both):
    slow, fast = both
    chance = random.Random(2)
    for _ in range(500):
        tokens = [chance.randrange(len(slow)) for _ in range(chance.randrange(12))]
        text = slow.decode(tokens, skip_special_tokens=True)
        assert fast.backend_tokenizer.decode(tokens, skip_special_tokens=True) == text, tokens
        pieces = Pieces(fast.backend_tokenizer)
        assert "".join([*map(pieces.add, tokens), pieces.end()]) == text


def test_two_lists_of_tokens_are_refused(tmp_path):
    slow = write_marian(tmp_path, trained(CORPUS[:50], "unigram"))
    slow.separate_vocabs = True
    with pytest.raises(Unsupported, match="MarianTokenizer with separate_vocabs"):
        fast_listed_tokenizer(slow)


def test_a_list_with_gaps_is_refused(tmp_path):
    slow = write_m2m100(tmp_path, trained(CORPUS[:50], "unigram"))
    del slow.encoder["中文"]
    with pytest.raises(Unsupported, match="M2M100Tokenizer has gaps"):
        fast_listed_tokenizer(slow)


@pytest.mark.parametrize(
    ("stated", "complaint"),
    [
        ({"split_special_tokens": True}, "MarianTokenizer with split_special_tokens"),
        ({"sp_model_kwargs": {"enable_sampling": True}}, r"MarianTokenizer with sp_model_kwargs \(enable_sampling\)"),
    ],
)
def test_settings_that_give_other_tokens_are_refused(tmp_path, stated, complaint):
    write_marian(tmp_path, trained(CORPUS[:50], "unigram"), **stated).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "marian"}))
    with pytest.raises(Unsupported, match=complaint):
        load_tokenizer(tmp_path, TransformerSettings(), None)


def test_tokens_beyond_those_of_the_network_are_refused(tmp_path):
    fast = fast_listed_tokenizer(write_m2m100(tmp_path, trained(CORPUS[:50], "unigram")))
    drop_strangers(tmp_path, fast, len(fast))
    with pytest.raises(CheckpointError, match=rf"gives '__zu__' the number {len(fast) - 1}, the network knows only"):
        drop_strangers(tmp_path, fast, len(fast) - 1)


def test_a_text_may_be_no_longer_than_python_cuts_in_a_moment(both):
    _, fast = both
    assert limits_of(SimpleNamespace(tokenizer=fast, max_length=64)).max_bytes_per_text == 65_536
    assert limits_of(SimpleNamespace(tokenizer=object(), max_length=64)).max_bytes_per_text == 2**20


def test_a_checkpoint_with_it_is_read_and_a_step_reads_texts_as_it_does(both, tmp_path):
    slow, fast = both
    slow.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": KINDS[type(slow)]}))
    tokenizer = load_tokenizer(tmp_path, TransformerSettings(), None)
    assert tokenizer("a 中文 word")["input_ids"] == slow("a 中文 word").input_ids
    (read,) = ListedPieces(json.loads(pieces_file(fast))).encode(["a 中文 word"])
    assert read.ids == slow("a 中文 word", add_special_tokens=False).input_ids
    assert pieces_file(object()) is None


@pytest.mark.parametrize(
    ("options", "complaint"),
    [({"byte_fallback": True}, "bytes of unknown"), ({"user_defined_symbols": ["<b>"]}, "always, or never")],
)
def test_models_of_sentencepiece_that_are_not_offered_are_refused(tmp_path, options, complaint):
    slow = write_marian(tmp_path, trained(CORPUS[:50], "unigram", **options))
    with pytest.raises(Unsupported, match=complaint):
        fast_listed_tokenizer(slow)
