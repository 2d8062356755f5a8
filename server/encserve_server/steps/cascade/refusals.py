"""What a pipeline means that answers the cascade with an error.

The Python backend of 2024 hands one model the words of another's error, and calls all of them INTERNAL; a newer one
hands on what kind it is, too. The words are those of our own steps; of the backends that are not ours only a full queue
is known.
"""

from __future__ import annotations

from enum import Enum


class Refusal(Enum):
    """The kinds of errors that a caller tells apart."""

    UNAVAILABLE = "unavailable"
    """It may be tried again later."""
    CANCELLED = "cancelled"
    """Its caller has given it up."""
    INVALID = "invalid"
    """A text is wrong."""
    FAILED = "failed"
    """The pipeline failed, or says what is not known here."""


_STATUSES = {
    "UNAVAILABLE": Refusal.UNAVAILABLE,
    "CANCELLED": Refusal.CANCELLED,
    "INVALID_ARGUMENT": Refusal.INVALID,
}
_WORDS = {
    Refusal.UNAVAILABLE: (
        "try again later",
        "lets no new request in",
        "was used up while the request waited",
        "or its timeout passed, before it was computed",
        "Exceeds maximum queue size",
    ),
    Refusal.CANCELLED: ("the caller gave the request up",),
    Refusal.INVALID: (
        "max_length is",
        "max_tokens_per_request is",
        "max_texts_per_request is",
        "max_bytes_per_text is",
        "is the most of a text that is read whole",
        "hold no place to cut it",
        "at least 1 is expected",
        "at least one is expected",
        "expected are as many, or one text",
        "is not valid UTF-8",
        "a window holds",
    ),
}


def refusal_of(status: str, message: str) -> Refusal:
    """Return the kind of an error of a pipeline, by its status where that says one, and else by its words."""
    return _STATUSES.get(status) or refusal_in(message)


def refusal_in(message: str) -> Refusal:
    """Return the kind of an error of a pipeline by its words."""
    for kind, words in _WORDS.items():
        if any(each in message for each in words):
            return kind
    return Refusal.FAILED
