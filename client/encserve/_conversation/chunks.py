"""Texts in chunks: one chunk is what one request carries, under the limits of the server and of the client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from encserve._texts import encode_text

SPECIAL_TOKENS = 4
"""No tokenizer adds more than this to a text."""

MAX_BYTES_PER_REQUEST = 16 * 1024 * 1024
"""Bytes of all texts of a request that has more than one: what the server has to hold at once."""


@dataclass(slots=True)  # one is made for each text: frozen ones take three times as long to make
class Size:
    """How much of the limits of a request texts take."""

    rows: int = 0
    """Texts, or what the server makes of them."""
    tokens: int = 0
    """No fewer than the tokenizer will give."""
    bytes: int = 0
    """Bytes of the texts in UTF-8."""

    def __add__(self, other: Size) -> Size:
        return Size(self.rows + other.rows, self.tokens + other.tokens, self.bytes + other.bytes)


@dataclass(frozen=True)
class Chunk:
    """The texts of one request."""

    start: int
    """Index of the first text in the whole call."""
    texts: list[bytes]
    """The texts, in UTF-8."""
    pairs: list[bytes]
    """The second text of each, where texts are paired."""
    size: Size = field(default_factory=Size)
    """What they take of a request's limits."""


@dataclass(frozen=True, kw_only=True)
class ChunkLimits:
    """What one request may carry, and how its texts are counted.

    The tokens of a text are bounded by its bytes, as tokenizers need no more tokens than bytes, and by the length that
    the model allows; in windows by twice its bytes with those of the prompt, for what they repeat. A prompt that has a
    name has an unknown length, so a text that gets one is counted with all that the model allows.
    """

    max_texts: int
    """Rows of a request."""
    max_tokens: int
    """Tokens of a request."""
    max_length: int
    """Tokens of a text that the network sees."""
    max_bytes_per_text: int
    """Bytes of one text in UTF-8."""
    shared_bytes: int = 0
    """Bytes of the text that goes with each of the others."""
    added_tokens: int = 0
    """Tokens that the server gives a text beside its own and the special ones."""
    prompt_tokens: int = 0
    """No fewer than the prompt has that each text gets; 0 where they get none."""
    rows_per_text: int = 1
    """Rows that the server makes of a text."""
    in_windows: bool = False
    """Whether long texts are read in windows."""
    copied: bool = False
    """Whether the server makes a copy of a text for each of its tokens."""

    def size_of(self, own_bytes: int, first_bytes: int) -> Size:
        """What a text takes that has `own_bytes` with its pair, `first_bytes` of them its own."""
        bound = own_bytes + self.shared_bytes + SPECIAL_TOKENS + self.added_tokens
        rows = min(self.max_length, max(first_bytes, 1)) if self.copied else 1
        if self.in_windows:
            return Size(rows, 2 * (bound + self.prompt_tokens), own_bytes)
        tokens = self.max_length if self.prompt_tokens else min(self.max_length, bound)
        return Size(rows, rows * self.rows_per_text * tokens, own_bytes)

    def size_of_all(self, own_bytes: Sequence[int]) -> Size:
        """What texts take together that have so many bytes each with their pairs, and are neither copied nor in
        windows."""
        total = sum(own_bytes)
        beside, most = self.shared_bytes + SPECIAL_TOKENS + self.added_tokens, self.max_length
        if self.prompt_tokens:
            tokens = len(own_bytes) * most
        elif max(own_bytes) + beside <= most:
            tokens = total + len(own_bytes) * beside
        else:
            tokens = sum([min(most, own + beside) for own in own_bytes])
        return Size(len(own_bytes), self.rows_per_text * tokens, total)

    def hold(self, size: Size) -> bool:
        """Whether one request may carry so much."""
        return size.rows <= self.max_texts and size.tokens <= self.max_tokens and size.bytes <= MAX_BYTES_PER_REQUEST


class Chunker:
    """Gathers texts, one after the other, into chunks. A text that alone exceeds a limit gets a chunk of its own, and
    the server decides."""

    def __init__(self, limits: ChunkLimits, *, start: int = 0) -> None:
        self._limits = limits
        self._next = start
        self._size = Size()
        self._clear()

    @property
    def full(self) -> bool:
        """Whether no further text fits by number."""
        return self._size.rows >= self._limits.max_texts

    def put(self, text: object, pair: object = None, answers: int = 0) -> Chunk | None:
        """Take a text, with its second text where they are paired, that gets so many `answers`, which the limit of
        tokens bounds too; returns the chunk that it did not fit into.

        Raises:
            InvalidInput: it is no text, or too long.
        """
        most = self._limits.max_bytes_per_text
        first = encode_text(text, self._next, max_bytes=most)
        second = b"" if pair is None else encode_text(pair, self._next, max_bytes=most)
        size = self._limits.size_of(len(first) + len(second), len(first))
        size.tokens = max(size.tokens, answers)
        whole = self._size + size
        chunk = None
        if self._texts and not self._limits.hold(whole):
            chunk, whole = self.flush(), size
        self._texts.append(first)
        if pair is not None:
            self._pairs.append(second)
        self._size = whole
        self._next += 1
        return chunk

    def flush(self) -> Chunk | None:
        """What was gathered; None if there is nothing."""
        if not self._texts:
            return None
        chunk = Chunk(self._next - len(self._texts), self._texts, self._pairs, self._size)
        self._clear()
        return chunk

    def _clear(self) -> None:
        self._texts: list[bytes] = []
        self._pairs: list[bytes] = []
        self._size = Size()


def _in_one(texts: Sequence[object], limits: ChunkLimits, pairs: Sequence[object] | None, start: int) -> Chunk | None:
    """All texts in one chunk, as `Chunker` would make it and in a fifth of its time; None where one does not hold them,
    or where what it holds is to be told text by text."""
    if not 0 < len(texts) <= limits.max_texts or limits.copied or limits.in_windows:
        return None
    try:
        firsts: list[bytes] = list(map(str.encode, texts))  # type: ignore[arg-type]
        seconds: list[bytes] = [] if pairs is None else list(map(str.encode, pairs))  # type: ignore[arg-type]
    except (TypeError, UnicodeEncodeError):  # `Chunker` says which
        return None
    sizes = list(map(len, firsts))
    most = max(sizes)
    if seconds:
        most = max(most, *map(len, seconds))
        sizes = [first + len(second) for first, second in zip(sizes, seconds, strict=True)]
    size = limits.size_of_all(sizes)
    return Chunk(start, firsts, seconds, size) if most <= limits.max_bytes_per_text and limits.hold(size) else None


def chunks_of(
    texts: Iterable[object],
    limits: ChunkLimits,
    *,
    pairs: Sequence[object] | None = None,
    answers: Sequence[int] = (),
    start: int = 0,
) -> Iterator[Chunk]:
    """The texts in chunks, read no further than the chunk at hand; `answers` has how many each of them gets where these
    count. Raises InvalidInput as they are read."""
    if isinstance(texts, Sequence) and not answers and (whole := _in_one(texts, limits, pairs, start)) is not None:
        yield whole
        return
    chunker = Chunker(limits, start=start)
    for index, text in enumerate(texts):
        chunk = chunker.put(text, None if pairs is None else pairs[index], answers[index] if answers else 0)
        if chunk:
            yield chunk
    last = chunker.flush()
    if last:
        yield last
