"""A verb as data: what it is called, what it takes, what it asks for, and what it makes of an answer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from textwrap import fill, indent
from typing import Any, Generic

from encserve._messages import Parameter
from encserve._pipeline import PipelineInfo
from encserve._results import Gather, Part, Rows
from encserve._verbs.answers import AnswerReader
from encserve._verbs.options import CallOptions, Option, options_of

Given = Mapping[str, Parameter]
"""The options that a call gave, by name."""

_WIDTH = 112


@dataclass(frozen=True, kw_only=True)
class Verb(Generic[Part]):
    """What a client can ask of the pipelines of one task."""

    name: str
    task: str
    about: str
    """What it does: a line, and where more is to be said, paragraphs after it."""
    arguments: Mapping[str, str]
    """The arguments that are no options, by name, and what each is."""
    keywords: type
    """A `TypedDict` of the options; see `encserve._verbs.options`."""
    outputs: Callable[[Given], tuple[str, ...]]
    """The outputs that are asked for, beside the counts."""
    outputs_of: Callable[[PipelineInfo], tuple[str, ...]] = lambda pipeline: ()
    """The outputs that some pipelines have besides."""
    decode: Callable[[AnswerReader], Part]
    """The part of the result in one answer."""
    always: Given = field(default_factory=dict)
    """Options that each request has."""
    complete: Callable[[Given, Mapping[str, Any]], Given] = lambda given, by_text: given
    """From the options of a call, and those that each text has a value of its own of, to the former with what follows
    from both. Raises InvalidInput: they do not go together."""
    fits: Callable[[PipelineInfo, Given], None] = lambda pipeline, given: None
    """Refuses what a call cannot ask of a pipeline. Raises InvalidInput."""
    split: str = "text"
    """What the caller calls one of the texts that are split into requests."""
    shared: str = ""
    """What the caller calls the one text that goes with all others; empty where there is none."""
    shared_first: bool = False
    """Whether that one is the first of the texts of a request, and not beside them."""
    also: tuple[Verb[Part], ...] = ()
    """How it is asked of pipelines of other tasks; name, arguments and keywords are the same."""
    compared: bool = False
    """Whether answers of several calls are compared with each other, as vectors are: then a caller is to have them all
    of one version."""
    decoupled: bool = False
    """Whether the server may answer a request with several responses."""
    copied: bool = False
    """Whether the server makes as many copies of a text as it has tokens."""
    answered_by: str = ""
    """The option with a list for each text, which gets an answer for each of its entries: the limit of tokens bounds
    these too."""
    rows_per_text: Callable[[Given], int] = lambda given: 1
    """How many rows of the server's limits a text takes."""
    tokens_ahead: Callable[[Given], int] = lambda given: 0
    """No fewer tokens than the server puts before each text because of what a call gives."""
    gather: Callable[[int, Given], Gather[Part]] = lambda rows, given: Rows(rows)
    """Makes what joins the parts of a call about so many texts."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks whose pipelines it can be asked of."""
        return (self.task, *(each.task for each in self.also))

    def of_task(self, task: str) -> Verb[Part]:
        """The verb as pipelines of a task are asked; itself for a task that is none of its own."""
        return next((each for each in self.also if each.task == task), self)

    @cached_property
    def options(self) -> Mapping[str, Option]:
        """The options of the pipeline, by name."""
        common = options_of(CallOptions)
        return {name: option for name, option in options_of(self.keywords).items() if name not in common}

    def given(self, keywords: Mapping[str, Any]) -> dict[str, Parameter]:
        """The options of the pipeline among the keywords of a call; those that are None have the pipeline's default.

        Raises:
            InvalidInput: a value has the wrong type or is impossible.
            TypeError: a keyword is no option of this verb.
        """
        options, common = self.options, options_of(CallOptions)
        for name in keywords:
            if name not in options and name not in common:
                raise TypeError(f"{self.name}() got an unexpected keyword argument {name!r}")
        of_each = self.by_text(keywords)
        present = {name: option for name, option in options.items() if keywords.get(name) is not None}
        values = {name: option for name, option in present.items() if name not in of_each}
        given = {**self.always, **{name: option.checked(keywords[name]) for name, option in values.items()}}
        return dict(self.complete(given, of_each))

    def by_text(self, keywords: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
        """The options among the keywords of a call that give each text a value of its own, by name.

        Raises:
            InvalidInput: a value has the wrong type.
        """
        lists = {name: keywords[name] for name in self._may_be_by_text if keywords.get(name) is not None}
        return {
            name: self.options[name].of_each(values)
            for name, values in lists.items()
            if isinstance(values, Sequence) and not isinstance(values, str)
        }

    @cached_property
    def _may_be_by_text(self) -> tuple[str, ...]:
        return tuple(name for name, option in self.options.items() if option.by_text)

    def documentation(self) -> str:
        """The docstring of the client's method."""
        arguments = {
            **self.arguments,
            **{name: option.about for name, option in options_of(self.keywords).items()},
        }
        lines = [f"{name}: {text}" for name, text in arguments.items()]
        return "\n".join(
            [
                inspect.cleandoc(self.about),
                "",
                "Options that are None have the pipeline's default. A list of texts is checked before any is sent.",
                "",
                "Args:",
                *(indent(fill(line, _WIDTH, subsequent_indent="    "), "    ") for line in lines),
                "",
                "Raises:",
                *(indent(fill(line, _WIDTH, subsequent_indent="    "), "    ") for line in RAISES),
            ]
        )


LATE_INTERACTION = "late-interaction"
"""The task of pipelines that read queries and documents in ways of their own, and of which two verbs can be asked."""

HYBRID = "hybrid-embedding"
"""The task of pipelines that give vectors, sparse vectors and vectors of tokens of one pass."""

TEXTS: Mapping[str, str] = {
    "texts": "Any number of texts; an empty one is allowed where the pipeline makes a token of it. What the server "
    "refuses it names by its place in its request, of which a long call makes several.",
    "model": "Name of the pipeline.",
}
"""The arguments of a verb about texts."""

RAISES = (
    "InvalidInput: the client or the server refused a text or an option.",
    "ModelNotFound: the server has no such pipeline.",
    "InferenceFailed: the pipeline failed on a request.",
    "Unavailable: the server was down through all retries; `Overloaded`, where the call could not be done in its time.",
    "DeadlineExceeded: the call was not answered in time.",
    "ContractError: the model is no pipeline of encserve, its answer broke the contract, or two versions answered.",
)
"""What every verb raises."""
