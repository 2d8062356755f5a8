"""Options as data: a `TypedDict` says which keywords a verb takes; checks, documentation and flags are read from it.

    class TruncateOption(TypedDict, total=False):
        truncate: Annotated[Truncation | None, "Which end of a text to cut ..."]

An annotation is the type of the value, then what the option does, and for numbers the least one if it is not 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import NoneType
from typing import Annotated, Any, Literal, TypedDict, get_args, get_origin, get_type_hints

from encserve._errors import InvalidInput
from encserve._messages import Parameter

Truncation = Literal["end", "start", "error"]
LongText = Literal["truncate", "chunk"]
Priority = Literal["interactive", "bulk"]


class CallOptions(TypedDict, total=False):
    """The keywords that every call takes. None of them is an option of the pipeline."""

    progress: Annotated[bool, "Whether to show a progress bar on stderr."]
    timeout_s: Annotated[
        float | None,
        "Seconds that the call may take, with all its requests, their retries, and what is asked of the pipeline. "
        "Without it the client's own holds: for the whole call too, but of a call in bulk for each of its requests.",
    ]
    priority: Annotated[
        Priority | None,
        '"interactive" for what somebody waits for, "bulk" for what may wait for that. Without it, lists of more than '
        '1,024 texts, and texts that come from an iterator, are "bulk".',
    ]


class TruncateOption(TypedDict, total=False):
    """The option of verbs that cut texts."""

    truncate: Annotated[
        Truncation | None,
        'Which end of a text to cut when it is too long, "end" or "start"; or "error", to refuse it. Of a pair the '
        "longer text is cut. Without it the side is that of the checkpoint's tokenizer, nearly always the end.",
    ]


class WindowOptions(TypedDict, total=False):
    """The options of verbs that can read long texts whole."""

    long_text: Annotated[
        LongText | None,
        '"chunk" to read a text that is too long in overlapping windows; "truncate", as without it, to cut it.',
    ]
    overlap: Annotated[
        int | None, "Tokens that two neighbouring windows share; an eighth of `max_length` without it.", 0
    ]


class PromptOption(TypedDict, total=False):
    """The option of verbs that put a prompt of the checkpoint before each text."""

    prompt_name: Annotated[
        str | None,
        "Which of the pipeline's prompts to put before each text, \"\" for none; the checkpoint's without it.",
    ]


class VectorOptions(PromptOption, total=False):
    """The options of verbs whose answers are vectors."""

    dimensions: Annotated[
        int | None, "Shorten the vectors to this length, for models that were trained for it; all without it."
    ]
    normalize: Annotated[bool | None, "Whether to scale the vectors to unit length; as the checkpoint does without it."]


@dataclass(frozen=True, kw_only=True)
class Option:
    """One keyword of a verb."""

    name: str
    kind: type
    """The type of its value: str, int or bool, and float of a timeout."""
    about: str
    """What it does, in full sentences."""
    choices: tuple[str, ...] = ()
    """The values that it may have; empty where there are no such few."""
    least: int = 1
    """The least value of an int."""

    def checked(self, value: object) -> Parameter:
        """The value, if it is one.

        Raises:
            InvalidInput: it has the wrong type, or is impossible.
        """
        if self.choices:
            if value not in self.choices:
                allowed = ", ".join(map(repr, self.choices))
                raise InvalidInput(f"{self.name} is {value!r}, expected one of {allowed}")
        elif self.kind is int:
            if type(value) is not int or value < self.least:
                expected = "a positive int" if self.least == 1 else f"an int of {self.least} or more"
                raise InvalidInput(f"{self.name} is {value!r}, expected {expected}")
        elif not isinstance(value, self.kind):
            raise InvalidInput(f"{self.name} is {value!r}, expected a {self.kind.__name__}")
        return value  # type: ignore[return-value]


@cache
def options_of(keywords: type) -> Mapping[str, Option]:
    """The options that a `TypedDict` declares, by name, those of its bases first."""
    return {name: _option(name, hint) for name, hint in get_type_hints(keywords, include_extras=True).items()}


def _option(name: str, hint: Any) -> Option:
    value, about, *least = get_args(hint)
    kinds = [kind for kind in get_args(value) if kind is not NoneType] if get_origin(value) is not Literal else []
    (kind,) = kinds or [value]
    if get_origin(kind) is Literal:
        return Option(name=name, kind=str, about=about, choices=get_args(kind))
    return Option(name=name, kind=kind, about=about, **({"least": least[0]} if least else {}))
