"""Tokenizers of Marian and M2M100 as their checkpoints bring them: small models of SentencePiece, and lists that know
other pieces than these do."""

import io
import json
import warnings
from pathlib import Path

import sentencepiece
import transformers

STRANGERS = [">>fra<<", ">>deu<<", "ß", "中", "中文", "▁中文", "🔑", "▁Haus"]
"""Tokens of a list that the pieces of sources do not have."""


def trained(texts, kind, **options):
    """A model of SentencePiece, as the bytes of its file."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=written,
        model_type=kind,
        hard_vocab_limit=False,
        minloglevel=2,
        **{"vocab_size": 1_500, "character_coverage": 0.99} | options,
    )
    return written.getvalue()


def pieces_of(model):
    """Its pieces, but for the three that stand for no text. One in nine is left out, as lists do."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    pieces = [processor.id_to_piece(number) for number in range(3, processor.get_piece_size())]
    return [piece for number, piece in enumerate(pieces) if number % 9 and piece not in STRANGERS]


def write_marian(folder: Path, model, **options):
    """A Marian's tokenizer, with the languages French and German as codes."""
    folder.mkdir(exist_ok=True)
    for side in ("source.spm", "target.spm"):
        (folder / side).write_bytes(model)
    listed = ["</s>", "<unk>", *pieces_of(model), *STRANGERS, "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(listed)}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sacremoses is recommended, by which transformers reads no text
        return transformers.MarianTokenizer(
            str(folder / "source.spm"), str(folder / "target.spm"), str(folder / "vocab.json"), **options
        )


def write_m2m100(folder: Path, model, **options):
    """An M2M100's tokenizer."""
    folder.mkdir(exist_ok=True)
    (folder / "sentencepiece.bpe.model").write_bytes(model)
    listed = ["<s>", "<pad>", "</s>", "<unk>", *pieces_of(model), "ß", "中", "中文", "🔑"]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(listed)}))
    return transformers.M2M100Tokenizer(
        str(folder / "vocab.json"), str(folder / "sentencepiece.bpe.model"), src_lang="de", **options
    )
