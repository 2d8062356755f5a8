"""What every layout of texts has, and what most of them have alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray
from tokenizers import Tokenizer

from ...request.options import Options
from ..kept_tokens import Tokens


class TextLayout(ABC):
    """Makes rows of a pack out of the texts of a task. Each other module of this room has one, by the name `Layout`."""

    INPUTS: tuple[str, ...] = ("text",)
    """The names of the BYTES inputs of a request."""
    NAMES: tuple[str, ...] = ()
    """What errors call the texts of each group, where the groups are not the inputs."""
    LABELS = 0
    """How many groups come first of what is put beside each text, and is none that somebody asks about."""
    READ: int | None = None
    """How many groups come first of what is tokenized; None where all is."""
    TRACKS_OFFSETS = False
    """Whether encodings must know where in the text each token stands."""

    @abstractmethod
    def __init__(self, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> None:
        """Take what it needs of the tokenizer and of the settings of the step."""

    @abstractmethod
    def read(self, inputs: Mapping[str, Sequence[bytes]], options: Options) -> list[list[str]]:
        """Return the texts of a request, in groups. Raises InvalidArgument."""

    def rows(self, groups: Sequence[Sequence[str]], options: Options) -> Iterable[tuple[str, ...]]:
        """Return of what was read the texts of each row that the network will see: each by itself, unless rows have
        more. A text that it reads in windows counts as one."""
        return ((text,) for group in groups[: self.READ] for text in group)

    def given_vectors(self, groups: Sequence[Sequence[str]], options: Options) -> int:
        """Return how many vectors were given in the place of texts: none, unless a task takes some."""
        return 0

    def split(self, groups: list[list[str]], options: Options) -> list[list[str]]:
        """Return what to tokenize of what was read, in groups: all of it as it is, unless texts are tokenized in
        parts."""
        return groups

    @abstractmethod
    def kept_lengths(self, groups: Sequence[Sequence[str]], options: Options) -> list[int | None]:
        """Return, for each group, the tokens of a text that truncation can keep; None where all are needed."""

    @abstractmethod
    def packed_tensors(
        self, groups: Sequence[Sequence[str]], encodings: Sequence[Sequence[Tokens]], options: Options
    ) -> dict[str, NDArray[Any]]:
        """Return the tensors of a request, without the leading dimension, from its encodings without special tokens.

        Raises InvalidArgument.
        """
