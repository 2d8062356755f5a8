"""Options as data: a `TypedDict` says which keywords a verb takes; checks, documentation and flags are read from it.

    class TruncateOption(TypedDict, total=False):
        truncate: Truncation | None
        '''Which end of a text to cut ...'''

An annotation is the type of the value, and for numbers that may be less than 1 `Annotated` with the least one. The text
under it says what the option does: editors show it, and here it is read from the source.
"""

from __future__ import annotations

import ast
import inspect
import json
import math
import operator
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from types import NoneType
from typing import Annotated, Any, Literal, TypedDict, get_args, get_origin, get_type_hints

from encserve._errors import InvalidInput
from encserve._messages import Parameter

MOST = 2**63 - 1
"""The greatest int that the protocol carries."""

Truncation = Literal["end", "start", "error"]
LongText = Literal["truncate", "chunk"]
Priority = Literal["interactive", "bulk"]
Version = Literal["active", "candidate"]


class CallOptions(TypedDict, total=False):
    """The keywords that every call takes. None of them is an option of the pipeline."""

    progress: bool
    """Whether to show a progress bar on stderr."""
    timeout_s: float | None
    """Seconds that the call may take, with all its requests, their retries, and what is asked of the pipeline.
    Without it the client's own holds: for the whole call too, but of a call in bulk for each of its requests."""
    priority: Priority | None
    """The lane: "interactive" for what somebody waits for, "bulk" for what may wait for that. Without it, lists of more
    than 1,024 texts, and texts that come from an iterator, are "bulk"."""
    caller: str | None
    """Who asks, such as the id of a user or tenant: while a pipeline has a candidate, all calls of one caller go to the
    same version. Without it the client's own holds; without both vectors and bulk are of the active version, and the
    candidate gets its share of all other calls by chance. It is not sent."""
    version: Version | None
    """Which version to ask whatever the share: "active" or "candidate". Without it the caller decides."""


class TruncateOption(TypedDict, total=False):
    """The option of verbs that cut texts."""

    truncate: Truncation | None
    """Which end of a text to cut when it is too long, "end" or "start"; or "error", to refuse it. Of a pair the
    longer text is cut. Without it the side is that of the checkpoint's tokenizer, nearly always the end."""


class AdapterOption(TypedDict, total=False):
    """The option of verbs whose pipelines may have adapters."""

    adapter: str | None
    """Which of the pipeline's adapters all texts have; "none", as without it, for none."""


class TextAdapterOption(TypedDict, total=False):
    """The option of verbs in which each text may have an adapter of its own."""

    adapter: str | Sequence[str] | None
    """Which of the pipeline's adapters the texts have: one name for all of them, or a list with a name for each;
    "none", as without it, for none. One that the checkpoint itself brings comes with its prompt, as a rule."""


class WindowOptions(TypedDict, total=False):
    """The options of verbs that can read long texts whole."""

    long_text: LongText | None
    """What becomes of a text that is too long: "chunk" to read it in overlapping windows; "truncate", as without it, to
    cut it."""
    overlap: Annotated[int | None, 0]
    """Tokens that two neighbouring windows share; an eighth of `max_length` without it."""


class PromptOption(TypedDict, total=False):
    """The option of verbs that put a prompt of the checkpoint before each text."""

    prompt_name: str | None
    """Which of the pipeline's prompts to put before each text, "" for none; the checkpoint's without it."""


class WrittenPromptOption(PromptOption, total=False):
    """The options of verbs that put a prompt of the checkpoint or of the caller before each text."""

    prompt: str | None
    """What to put before each text, written out, in the place of a prompt that has a name; at most 4,096 bytes."""


InputType = Literal["query", "document"]
OutputDtype = Literal["float32", "int8", "binary"]


class VectorOptions(WrittenPromptOption, total=False):
    """The options of verbs whose answers are vectors."""

    dimensions: int | None
    """Shorten the vectors to this length, for models that were trained for it; all without it."""
    normalize: bool | None
    """Whether to scale the vectors to unit length; as the checkpoint does without it."""
    output_dtype: OutputDtype | None
    """The type of the vectors: "float32"; "int8", each vector scaled by itself, which keeps cosines; or "binary", one
    bit a component, eight in a byte, for Hamming distances. Floats without it."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """One keyword of a verb."""

    name: str
    kind: type
    """The type of its value: str, int, bool or float, list of several texts, and tuple of spans for each text."""
    about: str
    """What it does, in full sentences."""
    choices: tuple[str, ...] = ()
    """The values that it may have; empty where there are no such few."""
    least: int = 1
    """The least value of an int."""
    by_text: bool = False
    """Whether a list may give each text a value of its own."""

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
            if type(value) is not int or not self.least <= value <= MOST:
                expected = "a positive int" if self.least == 1 else f"an int of {self.least} or more"
                expected += f", at most {MOST}" if isinstance(value, int) and value > MOST else ""
                raise InvalidInput(f"{self.name} is {value!r}, expected {expected}")
        elif self.kind is float:
            if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
                raise InvalidInput(f"{self.name} is {value!r}, expected a finite number")
            return repr(float(value))  # the protocol has no numbers but whole ones
        elif self.kind is list:
            if isinstance(value, str) or not isinstance(value, Sequence):
                raise InvalidInput(f"{self.name} is {type(value).__name__}, expected a list of str")
            for index, each in enumerate(value):
                if not isinstance(each, str) or not each:
                    found = repr(each) if isinstance(each, str) else type(each).__name__
                    raise InvalidInput(f"{self.name} has {found} at {index}, expected a str that is not empty")
            return json.dumps(list(value))  # nor has it lists
        elif not isinstance(value, self.kind):
            raise InvalidInput(f"{self.name} is {value!r}, expected a {self.kind.__name__}")
        return value  # type: ignore[return-value]

    def of_each(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """The values of all texts, where it may have one for each; of spans a list of [begin, end] each.

        Raises:
            InvalidInput: one has the wrong type.
        """
        if self.kind is tuple:
            return tuple(self._spans(index, own) for index, own in enumerate(values))
        for index, value in enumerate(values):
            if not isinstance(value, str) or not value:
                found = repr(value) if isinstance(value, str) else type(value).__name__
                raise InvalidInput(f"{self.name} has {found} at {index}, expected a str that is not empty")
        return tuple(map(str, values))

    def _spans(self, index: int, own: Any) -> list[list[int]]:
        """The spans of one text, which may be an array (spans, 2). Raises InvalidInput."""
        try:
            spans = [[operator.index(place) for place in span] for span in own]
        except TypeError:
            spans = [[]]
        if any(len(span) != len(("begin", "end")) for span in spans):
            raise InvalidInput(f"{self.name} of text {index} are no list of (begin, end) in whole numbers")
        return spans


@cache
def options_of(keywords: type) -> Mapping[str, Option]:
    """The options that a `TypedDict` declares, by name, those of its bases first."""
    about = {**_docstrings(__name__), **_docstrings(keywords.__module__)}
    return {
        name: _option(name, hint, about.get(name, ""))
        for name, hint in get_type_hints(keywords, include_extras=True).items()
    }


@cache
def _docstrings(module: str) -> Mapping[str, str]:
    """The text under each annotated name of the classes of a module; none where it came without its source."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except OSError:
        return {}
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return {
        field.target.id: " ".join(text.value.value.split())
        for body in bodies
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }


def _option(name: str, hint: Any, about: str) -> Option:
    value, least = get_args(hint) if get_origin(hint) is Annotated else (hint, 1)
    kinds = [kind for kind in get_args(value) if kind is not NoneType] if get_origin(value) is not Literal else []
    if kinds == [str, Sequence[str]]:
        return Option(name=name, kind=str, about=about, by_text=True)
    (kind,) = kinds or [value]
    if get_origin(kind) is Literal:
        return Option(name=name, kind=str, about=about, choices=get_args(kind))
    if get_origin(kind) is Sequence and get_origin(get_args(kind)[0]) is Sequence:
        return Option(name=name, kind=tuple, about=about, by_text=True)
    if get_origin(kind) is Sequence:
        return Option(name=name, kind=list, about=about)
    return Option(name=name, kind=kind, about=about, least=least)
