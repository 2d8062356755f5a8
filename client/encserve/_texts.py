"""What counts as a text, as texts, and as pairs of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from encserve._errors import InvalidInput


def check_collection(texts: object, *, name: str = "texts") -> None:
    """Refuse what is no collection of texts, above all a single one.

    Raises:
        InvalidInput: `texts`, which the caller calls `name`, is a str or bytes, or cannot be iterated.
    """
    if isinstance(texts, str | bytes):
        single = name.removesuffix("s")
        raise InvalidInput(f"{name} is a single {type(texts).__name__}, expected a list of str: pass [{single}]")
    if not isinstance(texts, Iterable):
        raise InvalidInput(f"{name} is {type(texts).__name__}, expected a list of str")


def as_sequence(texts: Iterable[str], *, name: str = "texts") -> Sequence[str]:
    """The texts as something that has a length: a generator or an array becomes a list.

    Raises:
        InvalidInput: as `check_collection`.
    """
    check_collection(texts, name=name)
    return texts if isinstance(texts, Sequence) else list(texts)


def as_pairs(texts: Iterable[str], pairs: Iterable[str] | None) -> tuple[Sequence[str], Sequence[str] | None]:
    """Texts and the second text of each, as many of both.

    Raises:
        InvalidInput: as `check_collection`, or their numbers differ.
    """
    texts = as_sequence(texts)
    if pairs is None:
        return texts, None
    pairs = as_sequence(pairs, name="text_pairs")
    if len(texts) != len(pairs):
        raise InvalidInput(f"texts and text_pairs differ in number: {len(texts)} and {len(pairs)}")
    return texts, pairs


def encode_text(text: object, index: int | None = None, *, max_bytes: int, name: str = "text") -> bytes:
    """The text in UTF-8.

    Raises:
        InvalidInput: it is no str, holds a lone surrogate, or is longer than `max_bytes`; the message has `name` and
            `index`.
    """
    if isinstance(text, str):
        try:
            encoded = text.encode()
        except UnicodeEncodeError as error:
            surrogate = f"a lone surrogate {text[error.start]!r} at position {error.start}"
            raise InvalidInput(f"{_numbered(name, index)} is no valid Unicode: {surrogate}") from error
        if len(encoded) <= max_bytes:
            return encoded
        raise InvalidInput(f"{_numbered(name, index)} has {len(encoded)} bytes in UTF-8, the limit is {max_bytes}")
    raise InvalidInput(f"{_numbered(name, index)} is {type(text).__name__}, expected str")


def _numbered(name: str, index: int | None) -> str:
    return name if index is None else f"{name} {index}"


def check_texts(texts: Sequence[str], *, max_bytes: int, name: str = "text") -> None:
    """Refuse the whole list for the first text that `encode_text` refuses."""
    try:
        if max(map(len, map(str.encode, texts)), default=0) <= max_bytes:
            return
    except (TypeError, UnicodeEncodeError):  # said below, with its place
        pass
    for index, text in enumerate(texts):
        encode_text(text, index, max_bytes=max_bytes, name=name)
