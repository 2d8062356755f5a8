"""The languages that a tokenizer knows by tokens of their own."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from encserve_export.checkpoint.listed.tokenizer import ListedTokenizer
from encserve_export.errors import Unsupported
from encserve_server.steps.generate.texts.languages import Languages


@dataclass(frozen=True)
class KnownLanguages:
    """The languages of a checkpoint, and the one that a text has where nobody says it."""

    languages: Languages
    source: str

    def named(self, token: int | None) -> str:
        """The language of a token; empty where it is none."""
        return next((name for name, each in self.languages.ids.items() if each == token), "")


def languages_of(tokenizer: PreTrainedTokenizerBase) -> KnownLanguages | None:
    """The languages of a tokenizer of transformers that puts one into each text, as those of mBART and NLLB do.

    Raises:
        Unsupported: it puts it neither first nor last.
    """
    known: Any = tokenizer
    if isinstance(known, ListedTokenizer):
        listed = dict(known.language_ids)
        return KnownLanguages(Languages(at=0, ids=listed), known.src_lang) if listed else None
    if not hasattr(known, "set_src_lang_special_tokens"):
        return None
    names = sys.modules[type(known).__module__].FAIRSEQ_LANGUAGE_CODES
    vocabulary = known.get_vocab()
    ids = {str(name): int(vocabulary[name]) for name in names if name in vocabulary}
    source = str(known.src_lang)
    read = known("a")["input_ids"]
    for at in (0, -1):
        if read[at] == ids.get(source):
            return KnownLanguages(Languages(at=at, ids=ids), source)
    raise Unsupported(
        f"{type(known).__name__} puts the token of {source}, the language of a text, neither first nor last"
    )


def codes_of(tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
    """The prompts that say into which language a Marian of several translates, by its code: none of others."""
    codes = tokenizer.codes if isinstance(tokenizer, ListedTokenizer) else ()
    return {code.removeprefix(">>").removesuffix("<<"): f"{code} " for code in codes}
