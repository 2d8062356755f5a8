"""The fast form of the tokenizers of Marian and M2M100, built of the parts of the slow one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, processors
from transformers import BatchEncoding, M2M100Tokenizer, MarianTokenizer, PreTrainedTokenizerFast

from encserve_export.errors import Unsupported
from encserve_server.steps.tokenize.listed.normalization import SPACE
from encserve_server.steps.tokenize.listed.pieces import ListedPieces

from .sentencepiece_model import described

Slow: TypeAlias = MarianTokenizer | M2M100Tokenizer


class ListedTokenizer(PreTrainedTokenizerFast):
    """Reads texts as the slow tokenizer does that it was made of, and writes tokens as it does.

    Attributes:
        pieces: how texts are read, as `pieces.json` of a step says it.
        language_ids: language -> its token; empty where none is put into texts.
        codes: the codes of languages that texts may begin with.
    """

    pieces: Mapping[str, Any]
    language_ids: Mapping[str, int]
    codes: Sequence[str]
    _reads: ListedPieces

    def __call__(
        self,
        text: str | Sequence[str],
        *,
        add_special_tokens: bool = True,
        truncation: bool = False,
        max_length: int | None = None,
        padding: bool = False,
    ) -> BatchEncoding:
        """The tokens of a text, or of several, cut at the end where there are more than `max_length`, not padded."""
        if padding:
            raise ValueError("texts of this tokenizer are not padded")
        if not isinstance(text, str):
            made = [
                self(each, add_special_tokens=add_special_tokens, truncation=truncation, max_length=max_length)
                for each in text
            ]
            return BatchEncoding({name: [each[name] for each in made] for name in ("input_ids", "attention_mask")})
        (read,) = self._reads.encode([text])
        before, after = self._around() if add_special_tokens else ([], [])
        ids = read.ids
        if truncation and max_length is not None:
            ids = ids[: max(max_length - len(before) - len(after), 0)]
        ids = [*before, *ids, *after]
        return BatchEncoding({"input_ids": ids, "attention_mask": [1] * len(ids)})

    def _around(self) -> tuple[list[int], list[int]]:
        whole = self.backend_tokenizer.encode("a")
        at = whole.sequence_ids.index(0)
        return whole.ids[:at], whole.ids[at + 1 :]


def fast_listed_tokenizer(slow: Slow) -> ListedTokenizer:
    """The same tokens and texts as `slow`. Tokens of languages are special here, and no part of what is written:
    transformers writes them where the checkpoint does not say that they are special.

    Raises:
        Unsupported: it has a list for each side, or one with gaps, a token that takes spaces beside it away or stands
            for whole words, takes special tokens apart, draws pieces by chance or cuts by another setting of
            SentencePiece, or has a model of SentencePiece that is not offered.
    """
    name = type(slow).__name__
    if slow.split_special_tokens:
        raise Unsupported(f"{name} with split_special_tokens is not supported: tokens that are spelled out stay whole")
    if slow.sp_model_kwargs:
        raise Unsupported(f"{name} with sp_model_kwargs ({', '.join(slow.sp_model_kwargs)}) is not supported")
    listed: dict[str, int] = dict(slow.encoder)
    languages: dict[str, int] = {}
    ahead: list[str] = []
    if isinstance(slow, MarianTokenizer):
        if slow.separate_vocabs:
            raise Unsupported(f"{name} with separate_vocabs, a list of tokens for each side, is not supported")
        file = slow.spm_files[0]
    else:
        file, ahead = slow.spm_file, [slow.get_lang_token(slow.src_lang)]
        languages = {language: int(token) for language, token in slow.lang_code_to_id.items()}
        listed |= {slow.get_lang_token(language): token for language, token in languages.items()}
    if sorted(listed.values()) != [*range(len(listed))]:
        raise Unsupported(f"the list of tokens of {name} has gaps, where transformers takes others for unknown ones")
    added = {token.content: token for token in slow.added_tokens_decoder.values()}
    if odd := [each for each, token in added.items() if token.lstrip or token.rstrip or token.single_word]:
        raise Unsupported(f"{name} has the token {odd[0]!r}, which takes spaces or stands for whole words")
    listed |= {token.content: token_id for token_id, token in slow.added_tokens_decoder.items()}
    pieces = {
        **described(Path(file)),
        "apart": sorted({*added, *slow.all_special_tokens}),
        "codes": isinstance(slow, MarianTokenizer),
        "ids": listed,
        "unknown": listed[str(slow.unk_token)],
    }
    spoken = set(languages.values())
    special = {*slow.all_special_tokens, *(each for each, token in listed.items() if token in spoken)}
    fast = ListedTokenizer(  # type: ignore[no-untyped-call]
        tokenizer_object=_writer(listed, special, str(slow.unk_token), ahead, str(slow.eos_token)),
        eos_token=slow.eos_token,
        unk_token=slow.unk_token,
        pad_token=slow.pad_token,
        model_max_length=slow.model_max_length,
        clean_up_tokenization_spaces=False,
    )
    fast.pieces, fast.language_ids, fast._reads = pieces, languages, ListedPieces(pieces)
    fast.codes = sorted(each for each in listed if each.startswith(">>") and each.endswith("<<"))
    fast.src_lang = getattr(slow, "src_lang", "")
    return fast


def _writer(listed: Mapping[str, int], special: set[str], unknown: str, ahead: Sequence[str], end: str) -> Tokenizer:
    """Writes tokens, and knows those around a text. It reads no text: what it makes of one are no pieces."""
    tokenizer = Tokenizer(models.WordLevel(dict(listed), unk_token=unknown))
    tokenizer.add_special_tokens([AddedToken(each, special=True, normalized=False) for each in sorted(special)])
    around = [*ahead, end]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=" ".join([*ahead, "$A", end]),
        special_tokens=[(each, listed[each]) for each in around],
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.Fuse(), decoders.Replace(Regex(r"\A\s+|\s+\z"), "")]
    )
    return tokenizer


def pieces_file(tokenizer: Any) -> str | None:
    """What `pieces.json` of a step says; None of a tokenizer that reads texts by its own `tokenizer.json`."""
    if not isinstance(tokenizer, ListedTokenizer):
        return None
    return json.dumps(tokenizer.pieces, ensure_ascii=False, sort_keys=True)
