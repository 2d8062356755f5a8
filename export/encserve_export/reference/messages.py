"""What goes between an export and the library's process."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Kind: TypeAlias = Literal["numbers", "weights", "ranked", "found"]
"""How two answers are compared. "numbers": place by place. "weights": key by key, and a key that is missing weighs 0.
"ranked": key by key, and a key that is missing from the leading ones has at most the last one's number. "found": key by
key, and a key that only one of both has is a disagreement."""


@dataclass(frozen=True)
class Answer:
    """A final answer, in the form in which all tasks are compared. A text may have several, as one for each mask."""

    kind: Kind
    numbers: NDArray[np.float32]
    """(k,), or (k, W) where each key has a vector."""
    keys: tuple[Hashable, ...] = ()
    """What each number is of, such as a label, a token id, or a label with its first and last character; empty where
    the place says it."""


@dataclass(frozen=True)
class Asked:
    """One request, by the names of the pipeline's inputs and options."""

    inputs: dict[str, list[str]]
    """"text", and "text_pair" for tasks of pairs."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options that differ from the defaults."""
    variant: bool = False
    """Whether its texts are asked beside with other options, so that they say nothing of further texts."""

    @property
    def count(self) -> int:
        """How many texts or pairs it has."""
        return max(map(len, self.inputs.values()))


@dataclass(frozen=True)
class Row:
    """What the library fed to the network at once, and what the network gave for it."""

    input_ids: NDArray[np.int64]
    """(t,)."""
    token_type_ids: NDArray[np.int64] | None
    """(t,), where the tokenizer gives them."""
    logits: NDArray[np.float32] | None = None
    """(r, W) of tasks with labels or a vocabulary."""


@dataclass(frozen=True)
class Answered:
    """What the library says to one request."""

    answers: Sequence[tuple[Answer, ...]]
    """For each text or pair; of a ranking there is one for the query."""
    rows: list[Row]
    """In the order in which the pipeline's own rows must stand."""


@dataclass(frozen=True, kw_only=True)
class Library:
    """Which checkpoint is asked, and for what."""

    folder: Path
    """The untouched checkpoint, but for a configuration that was translated."""
    task: str
    base: Path | None = None
    """Where the encoder lies that the checkpoint names, of which it does not bring all itself."""
    translated_from: str | None = None
    """The model type that the checkpoint states, where its configuration was translated for a network that the library
    has under another one; None where it is untouched."""
    max_length: int | None = None
    """Tokens of a text, where the user said how many; None leaves it to the library."""
    code: str | None = None
    """The state of the checkpoint's own Python code that may run; None runs none."""
    allow_pickle: bool = False
    adapter: Path | None = None
    """The folder of an adapter that is merged into the weights; None for the checkpoint as it is."""
    task_of: tuple[Path, str] | None = None
    """In place of such a folder, a checkpoint whose weights hold those of tasks, and one of its tasks."""


@dataclass(frozen=True)
class Answers:
    """The library's answers to some requests."""

    answered: list[Answered]
    seconds: float
    """What answering took, without loading."""
    by: str
    """The class that answered, with the version of its library."""
    prompts: dict[str, str] | None = None
    """What a request may ask to be put before each text, by name; None where the library has no prompts."""


@dataclass(frozen=True)
class Failure:
    """The library could not answer."""

    reason: str
    """The exception, with the place where it was raised."""
