"""What is asked about rows, and what becomes of texts that are refused. Nothing here does I/O."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from encserve import Answer, ContractError, EncserveError, InferenceFailed, InvalidInput, PipelineInfo

from .answers import Form

TEXTS_AT_ONCE = 1_024
"""Texts of a call; the SDK makes requests of them."""
PROBE = "a"
"""A text that the pipeline has answered, with the options of the job, when the job began."""
REFUSED = (InvalidInput, InferenceFailed)
"""Errors that are about a text. All others are about the server, and end the job."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What is written about one row."""

    values: Mapping[str, Any]
    """The columns of the verb; none of them where there is an error."""
    token_count: int = 0
    dropped_count: int = 0
    error: str | None = None


@dataclass(frozen=True)
class Text:
    """What is asked: a text, and the query that it is ranked for."""

    text: str
    query: str | None = None


def probe_of(form: Form) -> Sequence[Text]:
    """What to ask before all rows: a pipeline that refuses this refuses an option, and would refuse every row."""
    return [Text(PROBE, PROBE if form.verb.name == "rerank" else None)]


def arguments_of(texts: Sequence[Text]) -> tuple[Any, ...]:
    """The first arguments of a verb that is asked about texts, which have one query."""
    words = [each.text for each in texts]
    return (words,) if texts[0].query is None else (texts[0].query, words)


@dataclass(frozen=True, kw_only=True)
class Questions:
    """What is asked about some rows: each text once, those of about a length together."""

    asked: Sequence[Text | str]
    """Of each row what is asked, or why nothing can be."""

    @classmethod
    def about(cls, texts: Sequence[Any], queries: Sequence[Any], *, max_bytes: int) -> Questions:
        """The questions about rows; `queries` are empty where none are needed."""
        rows = zip(texts, queries, strict=True) if queries else ((text, None) for text in texts)
        return cls(asked=[_asked(text, query, bool(queries), max_bytes) for text, query in rows])

    @property
    def calls(self) -> list[Sequence[Text]]:
        """The texts of each call, of one query each."""
        distinct = {each for each in self.asked if isinstance(each, Text)}
        ordered = sorted(distinct, key=lambda each: (each.query or "", len(each.text)))
        calls: list[Sequence[Text]] = []
        begin = 0
        for place in range(1, len(ordered) + 1):
            full = place - begin == TEXTS_AT_ONCE
            if place == len(ordered) or full or ordered[place].query != ordered[begin].query:
                calls.append(ordered[begin:place])
                begin = place
        return calls

    def rows(self, found: Mapping[Text, Row]) -> list[Row]:
        """The row of each, where it was `found` what the pipeline says of each text."""
        return [Row(values={}, error=each) if isinstance(each, str) else found[each] for each in self.asked]


def _asked(text: Any, query: Any, has_query: bool, max_bytes: int) -> Text | str:
    if not isinstance(text, str) or (has_query and not isinstance(query, str)):
        return f"the {'query' if isinstance(text, str) else 'text'} is missing, or no string"
    size = len(text.encode(errors="replace"))
    if size > max_bytes:
        return f"the text has {size:,} bytes in UTF-8, the limit is {max_bytes:,}"
    return Text(text, query)


def rows_about(form: Form, texts: Sequence[Text]) -> Generator[Sequence[Text], Answer, list[Row]]:
    """The rows about texts, which have one query; of what is refused, each by itself.

    Yields texts to ask about, and is sent their answer, or has the error thrown in.

    Raises:
        InferenceFailed: the server fails at a text that it has answered before, too: the texts are not to blame.
    """
    try:
        answer = yield texts
    except REFUSED as error:
        if isinstance(error, InferenceFailed):
            yield [Text(PROBE, texts[0].query and PROBE)]
        if len(texts) == 1:
            return [Row(values={}, error=str(error))]
        middle = len(texts) // 2
        first = yield from rows_about(form, texts[:middle])
        second = yield from rows_about(form, texts[middle:])
        return first + second
    counts = zip(answer.token_counts.tolist(), answer.dropped_counts.tolist(), strict=True)
    return [
        Row(values=values, token_count=tokens, dropped_count=dropped)
        for values, (tokens, dropped) in zip(form.rows(answer), counts, strict=True)
    ]


def ask_about(form: Form, texts: Sequence[Text], ask: Callable[[Sequence[Text]], Answer]) -> list[Row]:
    """The rows about texts, which `ask` asks about. Raises EncserveError."""
    asking = rows_about(form, texts)
    try:
        wanted = next(asking)
        while True:
            try:
                answer = ask(wanted)
            except EncserveError as error:
                wanted = asking.throw(error)
            else:
                wanted = asking.send(answer)
    except StopIteration as done:
        rows: list[Row] = done.value
        return rows


def check_version(answer: Answer, version: str) -> None:
    """Refuse the answer of another version than the one with which a job began. Raises ContractError."""
    if answer.version != version:
        raise ContractError(
            f"version {answer.version} of {answer.model!r} answers, and the job began with version {version}: answers "
            "of both must not stand side by side; begin anew in another folder",
            model=answer.model,
            version=answer.version,
        )


def check_task(form: Form, pipeline: PipelineInfo) -> None:
    """Refuse a pipeline that cannot do the verb about one text a row. Raises InvalidInput."""
    if pipeline.task not in form.verb.tasks:
        wanted = " or ".join(form.verb.tasks)
        raise InvalidInput(f"{pipeline.name!r} does {pipeline.task}, and {form.verb.name} wants {wanted}")
    if pipeline.pairs and form.verb.name != "rerank":
        raise InvalidInput(f"{pipeline.name!r} wants pairs of texts, and a job has one text a row")
