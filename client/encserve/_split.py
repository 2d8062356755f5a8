"""Check texts, and split them into requests that stay under the limits of the server and of the client."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from encserve._errors import InvalidInput
from encserve._pipeline import PipelineInfo

SPECIAL_TOKENS = 4
"""No tokenizer adds more than this to a text."""


MAX_BYTES_PER_REQUEST = 16 * 1024 * 1024
"""Of all texts of a request that has several: what the server has to hold at once."""


@dataclass(frozen=True)
class Load:
    """How much texts take of the limits of a request."""

    rows: int = 0
    """Texts, or what the server makes of them."""
    tokens: int = 0
    """A bound of them."""
    bytes: int = 0

    def __add__(self, other: "Load") -> "Load":
        return Load(self.rows + other.rows, self.tokens + other.tokens, self.bytes + other.bytes)

    def fits(self, *, max_rows: int, max_tokens: int) -> bool:
        """Whether one request may carry it."""
        return self.rows <= max_rows and self.tokens <= max_tokens and self.bytes <= MAX_BYTES_PER_REQUEST


NOTHING = Load()


@dataclass(frozen=True)
class Chunk:
    """The texts of one request."""

    start: int
    """Index of the first text in the whole call."""
    texts: list[bytes]
    """In UTF-8."""
    pairs: list[bytes]
    """The second text of each, where texts are paired."""
    load: Load = NOTHING


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
    for index, text in enumerate(texts):
        encode_text(text, index, max_bytes=max_bytes, name=name)


def split(
    texts: Iterable[str],
    pipeline: PipelineInfo,
    *,
    pairs: Sequence[str] | None = None,
    max_texts: int,
    extra_bytes: int = 0,
    prompted: bool = False,
    rows_per_text: int = 1,
    in_windows: bool = False,
    copied: bool = False,
) -> Iterator[Chunk]:
    """Split texts into chunks, reading them no further than the chunk at hand.

    The tokens of a text are bounded by its bytes, as tokenizers need no more tokens than bytes, and by the length that
    the model allows; in windows by twice its bytes, for what they repeat. A text that is `copied` for each of its
    tokens counts with all copies. `extra_bytes` go with each text. A prompt has an unknown length, so a text that gets
    one is counted with all that the model allows. The texts of a request have `MAX_BYTES_PER_REQUEST` together. A text
    that alone exceeds a limit gets a request of its own, and the server decides.
    """
    max_texts = min(max_texts, pipeline.max_texts_per_request)
    begin, firsts, seconds = 0, list[bytes](), list[bytes]()
    rows = tokens = bytes_ = 0
    for index, text in enumerate(texts):
        encoded = encode_text(text, index, max_bytes=pipeline.max_bytes_per_text)
        pair = None if pairs is None else encode_text(pairs[index], index, max_bytes=pipeline.max_bytes_per_text)
        own_bytes = len(encoded) + len(pair or b"")
        size = own_bytes + extra_bytes + SPECIAL_TOKENS
        own_rows = min(pipeline.max_length, max(len(encoded), 1)) if copied else 1
        if in_windows:
            bound = 2 * size
        else:
            bound = own_rows * rows_per_text * (pipeline.max_length if prompted else min(pipeline.max_length, size))
        full = (
            rows + own_rows > max_texts
            or tokens + bound > pipeline.max_tokens_per_request
            or bytes_ + own_bytes > MAX_BYTES_PER_REQUEST
        )
        if full and firsts:
            yield Chunk(begin, firsts, seconds, Load(rows, tokens, bytes_))
            begin, firsts, seconds = index, [], []
            rows = tokens = bytes_ = 0
        firsts.append(encoded)
        if pair is not None:
            seconds.append(pair)
        rows += own_rows
        tokens += bound
        bytes_ += own_bytes
    if firsts:
        yield Chunk(begin, firsts, seconds, Load(rows, tokens, bytes_))
