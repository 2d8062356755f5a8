"""Small tokenizers of the three kinds, trained on `passages`, with which tests make checkpoints.

Training breaks ties by chance, and networks of random weights would then see other tokens in every run: an answer whose
two best lie as close as rounding would fail a test once in many. So they are trained once:

    PYTHONPATH=tests python tests/trained_tokenizers.py
"""

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

FOLDER = Path(__file__).parent / "trained"
SPECIAL_TOKENS = ["<pad>", "<s>", "</s>", "<unk>", "<mask>"]


def wordpiece_tokenizer() -> Tokenizer:
    """400 pieces of words in lower case."""
    return Tokenizer.from_file(str(FOLDER / "wordpiece.json"))


def byte_level_tokenizer() -> Tokenizer:
    """500 pairs of bytes."""
    return Tokenizer.from_file(str(FOLDER / "byte_level.json"))


def unigram_tokenizer() -> Tokenizer:
    """400 pieces, of which the likeliest cut of a text is taken."""
    return Tokenizer.from_file(str(FOLDER / "unigram.json"))


def _wordpiece() -> tuple[Tokenizer, trainers.Trainer]:
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer, trainers.WordPieceTrainer(vocab_size=400, special_tokens=SPECIAL_TOKENS)


def _byte_level() -> tuple[Tokenizer, trainers.Trainer]:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return tokenizer, trainers.BpeTrainer(vocab_size=500, special_tokens=SPECIAL_TOKENS, initial_alphabet=alphabet)


def _unigram() -> tuple[Tokenizer, trainers.Trainer]:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer, trainers.UnigramTrainer(vocab_size=400, special_tokens=SPECIAL_TOKENS, unk_token="<unk>")


def train() -> None:
    """Write all three anew."""
    from passages import PASSAGES

    for name, (tokenizer, trainer) in {
        "wordpiece": _wordpiece(),
        "byte_level": _byte_level(),
        "unigram": _unigram(),
    }.items():
        tokenizer.train_from_iterator(PASSAGES, trainer)
        tokenizer.save(str(FOLDER / f"{name}.json"))


if __name__ == "__main__":
    train()
