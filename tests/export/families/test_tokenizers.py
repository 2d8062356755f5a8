"""Checkpoints without tokenizer.json: what transformers converts is compared with the tokenizer it came from."""

import io
import json

import pytest
import sentencepiece
import torch
import transformers
from passages import PASSAGES
from tokenizers import Tokenizer, normalizers
from trained_tokenizers import byte_level_tokenizer, wordpiece_tokenizer

from encserve_export.checkpoint.reference_tokenizers import DIFFICULT_TEXTS, check_conversion
from encserve_export.checkpoint.tokenizer import with_tokens
from encserve_export.config import ExportConfig
from encserve_export.errors import CheckpointError, Unsupported
from encserve_export.export import export
from encserve_export.texts.rows import rows_about
from encserve_server.steps.instance.settings import read_settings
from encserve_server.steps.request.options import OptionRules
from encserve_server.steps.tokenize.tokenization import Tokenization
from export.small_checkpoints import write_modules

from .checkpoints import load, write_checkpoint

DEBERTA_PIECES = {"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"}


def sentencepiece_folder(folder, tokenizer_class, file, **options):
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(PASSAGES),
        model_writer=written,
        model_type="unigram",
        vocab_size=350,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    (folder / file).write_bytes(written.getvalue())
    return configured(folder, tokenizer_class)


def wordpiece_folder(folder, tokenizer_class, **config):
    vocabulary = wordpiece_tokenizer().get_vocab()
    (folder / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.get)) + "\n", encoding="utf-8")
    special = {
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "cls_token": "<s>",
        "sep_token": "</s>",
        "mask_token": "<mask>",
    }
    return configured(folder, tokenizer_class, **special, **config)


def byte_level_folder(folder, tokenizer_class):
    byte_level_tokenizer().model.save(str(folder))
    return configured(folder, tokenizer_class)


def configured(folder, tokenizer_class, **config):
    model_type = {"BertTokenizer": "bert", "MPNetTokenizer": "mpnet", "RobertaTokenizer": "roberta"}.get(
        tokenizer_class
    )
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": tokenizer_class} | config))
    (folder / "config.json").write_text(json.dumps({"model_type": model_type or "t5"}))
    return folder


FOLDERS = {
    "BERT": lambda folder: wordpiece_folder(folder, "BertTokenizer"),
    "BERT cased": lambda folder: wordpiece_folder(folder, "BertTokenizer", do_lower_case=False),
    "MPNet": lambda folder: wordpiece_folder(folder, "MPNetTokenizer"),
    "RoBERTa": lambda folder: byte_level_folder(folder, "RobertaTokenizer"),
    "T5": lambda folder: sentencepiece_folder(
        folder, "T5Tokenizer", "spiece.model", pad_id=0, eos_id=1, unk_id=2, bos_id=-1
    ),
    "XLM-RoBERTa": lambda folder: sentencepiece_folder(folder, "XLMRobertaTokenizer", "sentencepiece.bpe.model"),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_faithful_conversion_passes_and_a_changed_one_does_not(kind, tmp_path):
    folder = FOLDERS[kind](tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    check_conversion(folder, tokenizer)

    fast = tokenizer.backend_tokenizer
    steps = [normalizers.Replace("l", "z"), *([fast.normalizer] if fast.normalizer else [])]
    fast.normalizer = normalizers.Sequence(steps)
    with pytest.raises(Unsupported, match=r"the tokens of '  several .* \(several spaces\) differ"):
        check_conversion(folder, tokenizer)


def test_a_conversion_that_is_not_faithful_is_refused(tmp_path):
    """transformers converts DeBERTa's SentencePiece without its table of normal forms."""
    folder = write_checkpoint(tmp_path, "deberta-v2")
    (folder / "tokenizer.json").unlink()
    sentencepiece_folder(
        folder, "DebertaV2Tokenizer", "spm.model", pad_id=0, bos_id=1, eos_id=2, unk_id=3, **DEBERTA_PIECES
    )
    (folder / "config.json").write_text(json.dumps({"model_type": "deberta-v2"}))
    with pytest.raises(
        Unsupported, match=r"has no tokenizer\.json, and the conversion .* is not faithful: the tokens of"
    ):
        load(folder)


def test_difficult_texts_are_what_they_are_called():
    assert "👩\u200d👩\u200d👧" in DIFFICULT_TEXTS["emoji"]
    assert "e\u0301" in DIFFICULT_TEXTS["combining marks"]
    assert all(end in DIFFICULT_TEXTS["mixed line ends"] for end in ("\t", "\n\n", "\r\n", "\rold"))
    assert max(len(word) for word in DIFFICULT_TEXTS["a very long word"].split()) == 320


IMAGE = "<image_soft_token>"


def with_another_token(folder, **told):
    """A decoder whose tokenizer knows one token more than its network."""
    write_checkpoint(folder, "gemma3_text")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([IMAGE], **told)
    tokenizer.save_pretrained(folder)
    return folder


def test_the_place_of_an_image_is_read_as_the_text_that_it_is(tmp_path):
    """Gemma's tokenizers know it, and no network of text has a vector for it."""
    folder = with_another_token(tmp_path, special_tokens=True)
    checkpoint = load(folder)
    (vocabulary, stranger) = checkpoint.config.vocab_size, transformers.AutoTokenizer.from_pretrained(folder)
    assert stranger(IMAGE)["input_ids"][0] == vocabulary
    served = Tokenizer.from_str(checkpoint.tokenizer_file())
    assert served.get_vocab_size() == vocabulary
    assert max(served.encode(f"a {IMAGE} b").ids) < vocabulary
    assert served.encode("a b").ids == stranger("a b")["input_ids"]


def test_an_ordinary_token_too_many_is_refused(tmp_path):
    folder = with_another_token(tmp_path, special_tokens=False)
    with pytest.raises(CheckpointError, match=r"knows \d+ tokens, the network only \d+: they do not belong together"):
        load(folder)


def test_a_token_too_many_that_texts_need_is_refused(tmp_path):
    folder = with_another_token(tmp_path, special_tokens=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, eos_token=IMAGE)
    tokenizer.save_pretrained(folder)
    with pytest.raises(CheckpointError, match="they do not belong together"):
        load(folder)


def without_special_tokens(folder, case, **told):
    """As the tokenizers of Qwen's language models are."""
    write_checkpoint(folder, case, **told)
    file = folder / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"post_processor": None}))
    return folder


def test_a_decoder_whose_tokenizer_adds_no_token_is_asked_about_no_empty_text(tmp_path):
    folder = without_special_tokens(tmp_path, "qwen2")
    with pytest.raises(RuntimeError, match="0 elements"):
        transformers.AutoModel.from_pretrained(folder)(torch.zeros(1, 0, dtype=torch.int64))
    checkpoint = load(folder, task="feature-extraction")
    assert with_tokens(checkpoint.tokenizer, ["", "a", " "]) == ["a", " "]
    assert all(ids for ids, _ in rows_about(checkpoint, ["a", "", "b"]))
    framed = load(write_checkpoint(tmp_path / "framed", "qwen2"))
    assert with_tokens(framed.tokenizer, ["", "a"]) == ["", "a"]


@pytest.mark.slow
def test_a_decoder_whose_tokenizer_adds_no_token_is_certified(tmp_path):
    """On all texts of the corpus but the empty one, which the library fails at, and the pipeline refuses."""
    folder = without_special_tokens(tmp_path / "checkpoint", "qwen2", max_length=64)
    task = {"task": "feature-extraction", "repository": tmp_path / "repository"}
    manifest = export(ExportConfig(checkpoint=str(folder), name="tiny", **task))
    assert min(manifest.parity["token_counts"]) > 0
    assert min(manifest.parity["lengths"]["token_counts"]) == 1
    assert manifest.parity["figures"]["max_abs_diff"]["measured"] < 1e-4
    version = tmp_path / "repository/tiny_tokenize/1"
    tokenization = Tokenization(Tokenizer.from_file(str(version / "tokenizer.json")), read_settings(version))
    options = OptionRules.from_settings(read_settings(version)).defaults
    texts = {"text": [b"a text", b"another", b""]}
    (refused,) = tokenization.tokenize([(tokenization.read(texts, options), options)])
    assert str(refused) == "text 2 has no tokens, for which the model has no answer; at least 1 is expected"


def test_a_text_that_is_never_alone_needs_no_special_token(tmp_path):
    network = transformers.AutoModelForQuestionAnswering
    folder = without_special_tokens(tmp_path / "answers", "qwen2", network=network)
    assert load(folder, task="question-answering").max_length
    prompted = without_special_tokens(tmp_path / "prompted", "qwen2")
    write_modules(prompted, [("Transformer", "", {}), ("Pooling", "1_Pooling", {"pooling_mode": "lasttoken"})], 32)
    prompting = {"prompts": {"query": "find: "}, "default_prompt_name": "query"}
    (prompted / "config_sentence_transformers.json").write_text(json.dumps(prompting))
    assert load(prompted).modules.default_prompt_name == "query"
