"""Late interaction: what becomes of a query, and of a document, before the network sees it, and which of their vectors
count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from encserve_export.attention.families import Family
from encserve_export.errors import Unsupported
from encserve_server.steps.tokenize.layouts.queries_and_documents import Side as ServedSide

_MORE_THAN_KEYS = ("deberta", "deberta-v2", "esm")
"""Families that pass over a token, and not only what others see of it, where a mask says so."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """What the files say of queries, or of documents."""

    marker: str = ""
    """The token that stands behind the first special one; empty where there is none."""
    prompt: str = ""
    """What is put before a text, and read with it."""
    max_length: int | None = None
    """Tokens of a row, special ones included; None where it is that of the tokenizer."""
    skipped_words: tuple[str, ...] = ()
    """Words of the vocabulary that have no vector."""


@dataclass(frozen=True, kw_only=True)
class Expansion:
    """Queries that are filled up with mask tokens, whose vectors count."""

    length: int
    """Tokens up to which a query is filled."""
    fixed: bool
    """Whether longer queries are cut there."""
    attended: bool
    """Whether other tokens attend to the masks."""
    token: str | None = None
    """What fills them up; None for the tokenizer's mask or, without one, the token that ends a text."""


@dataclass(frozen=True, kw_only=True)
class LateInteraction:
    """How a checkpoint reads queries and documents, and makes a score of their vectors."""

    query: Side
    document: Side
    expansion: Expansion | None = None
    mean: bool = False
    """Whether a score is divided by the vectors of its query."""

    @property
    def masks_attention(self) -> bool:
        """Whether the network has tokens to which no other attends."""
        return self.expansion is not None and not self.expansion.attended

    def check(self, family: Family, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> None:
        """Raise Unsupported for a network or a tokenizer with which the files' rule cannot be kept, or of which no two
        implementations give the same."""
        direction = family.direction(config)
        if self.masks_attention and (config.model_type in _MORE_THAN_KEYS or direction.causal):
            raise Unsupported(
                f"queries are filled up with tokens that others do not attend to, which is not supported for "
                f"{config.model_type}"
            )
        window = getattr(config, "sliding_window", None)
        if self.expansion and self.masks_attention and window:
            least = len(tokenizer("")["input_ids"]) + bool(self.query.marker)
            if self.expansion.length - least >= window:
                raise Unsupported(
                    f"queries are filled up to {self.expansion.length} tokens that others do not attend to, and a "
                    f"window of {window} tokens around the last of them may hold none that is attended to, which is "
                    "not supported"
                )
        if self.expansion and tokenizer.padding_side != "right":
            raise Unsupported(
                f"the tokenizer of the checkpoint pads on the {tokenizer.padding_side} (padding_side), where queries "
                "would be filled up; supported is right"
            )

    def lengths(self, usual: int, asked: int | None, reach: int | None) -> tuple[int, int]:
        """Tokens of the longest row of a query and of a document: of documents what is `asked`, else what the files
        say, else the `usual` of the tokenizer.

        Raises:
            Unsupported: more than `reach`, which the network can take.
        """
        query = self.query.max_length or usual
        if self.expansion:
            query = self.expansion.length if self.expansion.fixed else max(query, self.expansion.length)
        document = asked or self.document.max_length or usual
        for name, length in (("queries", query), ("documents", document)):
            if reach is not None and length > reach:
                raise Unsupported(f"{name} of {length} tokens are stated, and the network takes {reach} at most")
        return query, document


def settings_of(
    late: LateInteraction, tokenizer: PreTrainedTokenizerBase, query_length: int, document_length: int
) -> dict[str, Any]:
    """The settings of the tokenize and the head step.

    Raises:
        Unsupported: a token that the files name is not in the tokenizer's vocabulary.
    """
    expansion = late.expansion
    filler = filler_of(expansion, tokenizer) if expansion else 0
    filled_to = expansion.length if expansion else 0
    return {
        "query": _side(late.query, tokenizer, query_length, filled_to, filler),
        "document": _side(late.document, tokenizer, document_length, 0, 0),
        "attends_to_filling": not late.masks_attention,
        "mean": late.mean,
    }


def filler_of(expansion: Expansion, tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that fills queries up. Raises Unsupported where the tokenizer has none."""
    if expansion.token is not None:
        return token_of(expansion.token, tokenizer, "fills queries up")
    for token in (tokenizer.mask_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise Unsupported("queries are filled up with mask tokens, and the tokenizer of the checkpoint has none")


def token_of(word: str, tokenizer: PreTrainedTokenizerBase, what: str) -> int:
    """The id of a word of the vocabulary. Raises Unsupported where it is none."""
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    if word not in vocabulary:
        raise Unsupported(f"{word!r}, which {what}, is no token of the checkpoint's tokenizer")
    return vocabulary[word]


def _side(
    side: Side, tokenizer: PreTrainedTokenizerBase, max_length: int, filled_to: int, filler: int
) -> dict[str, Any]:
    marker = [token_of(side.marker, tokenizer, "marks a kind of text")] if side.marker else []
    known = ServedSide(
        marker=tuple(marker),
        prompt=side.prompt,
        max_length=max_length,
        filled_to=filled_to,
        filler=filler,
        skipped=frozenset(_ids_of(side.skipped_words, tokenizer)),
    )
    return {**asdict(known), "marker": marker, "skipped": sorted(known.skipped)}


def _ids_of(words: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids of those words that are tokens by themselves; the others cannot be told from what the tokenizer does not
    know, which counts."""
    vocabulary = tokenizer.get_vocab()
    return [vocabulary[word] for word in words if word in vocabulary]
