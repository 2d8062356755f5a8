"""The chat template of a reranker, taken apart: what stands before, between and after the two texts of a pair.

The server has no templates but their pieces, so that it renders what the library would, and runs no code of a
checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transformers import PreTrainedTokenizerBase

from encserve_export.errors import Unsupported

_ROLES = ("system", "query", "document")
_MARKS = dict(zip(_ROLES, ("\ue000\ue002", "\ue000\ue003", "\ue000\ue004"), strict=True))
"""What stands for the instruction, the query and the document while the template is taken apart."""
_DIFFICULT = (" a\n", "", "<b> & {{ c }} 'd' \"e\" \\n", "  \u00e9\u4e2d\t")
"""Texts that a template may change where it does more than to put them in their places."""
_OF_PARTS = ("content[0]", ".type", "'type'", '"type"')
"""By these a template shows that it wants a text as a list of parts, which is what sentence-transformers goes by."""


@dataclass(frozen=True)
class PairTemplate:
    """What stands around the texts of a pair."""

    plain: tuple[str, ...]
    """Before the query, between it and the document, and after that."""
    instructed: tuple[str, ...] = ()
    """Before an instruction, before the query, before the document and after that; empty where the template has no
    place for an instruction."""

    def render(self, query: str, document: str, instruction: str = "") -> str:
        """The text that the network reads."""
        if instruction:
            return _joined(self.instructed, (instruction, query, document))
        return _joined(self.plain, (query, document))


@dataclass(frozen=True)
class Messages:
    """How a checkpoint wants the texts of a pair as messages of a chat."""

    form: str = "auto"
    """`flat`, or `structured` for texts as lists of parts, as sentence-transformers calls them; `auto` leaves it to the
    template."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """What its template gets beside the messages."""


def template_of(tokenizer: PreTrainedTokenizerBase, messages: Messages) -> PairTemplate:
    """Take the chat template of `tokenizer` apart.

    Raises:
        Unsupported: there is none, it takes texts in parts, has no place for a query or a document, or changes texts.
    """
    template = tokenizer.chat_template
    if isinstance(template, dict):
        raise Unsupported(
            f"the checkpoint has several chat templates ({', '.join(template)}), which is not supported: leave the one "
            "for pairs in a local copy of it"
        )
    if not isinstance(template, str):
        raise Unsupported(
            "the checkpoint makes a score of the next token of a language model and has no chat template that says "
            "what it is to be asked, without which scores are next to random"
        )
    if messages.form == "structured" or (messages.form == "auto" and any(sign in template for sign in _OF_PARTS)):
        raise Unsupported(
            "the chat template of the checkpoint takes messages as lists of parts, which is not supported: there "
            "sentence-transformers takes a text that is the address of an image for the image"
        )

    def rendered(texts: Mapping[str, str]) -> str:
        chat = [{"role": role, "content": text} for role, text in texts.items()]
        try:
            return str(tokenizer.apply_chat_template(chat, tokenize=False, **messages.arguments))
        except Exception as error:  # a template is a program, and can fail in any way
            raise Unsupported(f"the chat template cannot be rendered for a pair: {error}") from error

    plain = _pieces(rendered({role: _MARKS[role] for role in _ROLES[1:]}), _ROLES[1:])
    if plain is None:
        raise Unsupported(
            "the chat template has not one place for a query (role 'query') and, after it, one for a document (role "
            "'document')"
        )
    instructed = _pieces(rendered(_MARKS), _ROLES)
    found = PairTemplate(plain, instructed or ())
    for text in _DIFFICULT:
        other = f"x{text}"
        whole = rendered({"query": text, "document": other}) == found.render(text, other)
        whole = whole and rendered({"query": other, "document": text}) == found.render(other, text)
        if instructed:
            given = {"system": other, "query": other, "document": text}
            whole = whole and rendered(given) == found.render(other, text, other)
        if not whole:
            raise Unsupported(f"the chat template changes texts such as {text!r}, which is not supported")
    return found


def _pieces(text: str, roles: tuple[str, ...]) -> tuple[str, ...] | None:
    """`text` without the marks of `roles`; None unless each is there once, and in this order."""
    pieces, rest = [], text
    for role in roles:
        before, mark, rest = rest.partition(_MARKS[role])
        if not mark:
            return None
        pieces.append(before)
    return None if any(mark in piece for mark in _MARKS.values() for piece in (*pieces, rest)) else (*pieces, rest)


def _joined(pieces: tuple[str, ...], texts: tuple[str, ...]) -> str:
    return "".join(part for pair in zip(pieces, (*texts, ""), strict=True) for part in pair)
