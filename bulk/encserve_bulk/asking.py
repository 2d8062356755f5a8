"""The rows of a window, asked in the order that suits the server, and answered one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from typing import Any

from encserve import Answer, Client, ContractError, EncserveError, InferenceFailed, InvalidInput, PipelineInfo

from .answers import Form, Options
from .source import Window

TEXTS_AT_ONCE = 1_024
"""Texts of a call; the SDK makes requests of them."""
PROBE = "a"
"""A text that the pipeline has answered when the job began."""
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


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Asks one version of a pipeline."""

    form: Form
    client: Client
    pipeline: PipelineInfo
    """With the version that must answer all rows."""
    options: Options
    executor: Executor
    """Calls run on it side by side, so that the server always has one to go on with."""

    def start(self, window: Window) -> Started:
        """Begin to ask about the rows of a window: each text once, those of about a length together."""
        asked = [self._text_of(window, row) for row in range(len(window.texts))]
        distinct = {each for each in asked if isinstance(each, Text)}
        ordered = sorted(distinct, key=lambda each: (each.query or "", len(each.text)))
        calls: list[tuple[Sequence[Text], Future[list[Row]]]] = []
        for texts in _calls_of(ordered):
            calls.append((texts, self.executor.submit(self._rows, texts)))
        return Started(window=window, asked=asked, calls=calls)

    def _text_of(self, window: Window, row: int) -> Text | str:
        """What is to be asked about a row, or why nothing can be."""
        text, query = window.texts[row], window.queries[row] if window.queries else None
        if not isinstance(text, str) or (window.queries and not isinstance(query, str)):
            return f"the {'query' if isinstance(text, str) else 'text'} is missing, or no string"
        size, most = len(text.encode(errors="replace")), self.pipeline.max_bytes_per_text
        if size > most:
            return f"the text has {size:,} bytes in UTF-8, the limit is {most:,}"
        return Text(text, query)

    def _rows(self, texts: Sequence[Text]) -> list[Row]:
        """The rows about texts, which have one query; of what is refused, each by itself.

        Raises:
            InferenceFailed: the server fails at a text that it has answered before, too: the texts are not to blame.
        """
        try:
            answer = self._ask(texts)
        except REFUSED as error:
            if isinstance(error, InferenceFailed):
                self._ask([Text(PROBE, texts[0].query and PROBE)])
            if len(texts) == 1:
                return [Row(values={}, error=str(error))]
            middle = len(texts) // 2
            return self._rows(texts[:middle]) + self._rows(texts[middle:])
        counts = zip(answer.token_counts.tolist(), answer.dropped_counts.tolist(), strict=True)
        return [
            Row(values=values, token_count=tokens, dropped_count=dropped)
            for values, (tokens, dropped) in zip(self.form.rows(answer), counts, strict=True)
        ]

    def _ask(self, texts: Sequence[Text]) -> Answer:
        words = [each.text for each in texts]
        about = (words,) if texts[0].query is None else (texts[0].query, words)
        verb = getattr(self.client, self.form.verb.name)
        answer: Answer = verb(*about, model=self.pipeline.name, priority="bulk", **self.options)
        if answer.version != self.pipeline.version:
            raise ContractError(
                f"version {answer.version} of {answer.model!r} answers, and the job began with version "
                f"{self.pipeline.version}: answers of both must not stand side by side; begin anew in another folder",
                model=answer.model,
                version=answer.version,
            )
        return answer


@dataclass(frozen=True, kw_only=True)
class Started:
    """A window whose texts are being asked about."""

    window: Window
    asked: list[Text | str]
    calls: list[tuple[Sequence[Text], Future[list[Row]]]]

    def wait(self, told: Callable[[int], None]) -> list[Row]:
        """The rows in the order of the file; `told` hears how many more are answered.

        Raises:
            EncserveError: the server cannot be asked, or another version answers.
        """
        found: dict[Text, Row] = {}
        for texts, rows in self.calls:
            found.update(zip(texts, rows.result(), strict=True))
            told(len(texts))
        told(len(self.asked) - len(found))  # texts that stand twice, and rows without one
        return [Row(values={}, error=each) if isinstance(each, str) else found[each] for each in self.asked]


def version_of(form: Form, client: Client, name: str, options: Options) -> PipelineInfo:
    """The pipeline with the version that answers now, and answers with these options.

    Raises:
        InvalidInput: it does not do the verb's task, or refuses an option.
        EncserveError: it cannot be asked.
    """
    pipeline = client.pipeline(name)
    if pipeline.task != form.verb.task:
        raise InvalidInput(f"{name!r} does {pipeline.task}, and {form.verb.name} wants {form.verb.task}")
    if pipeline.pairs and form.verb.name != "rerank":
        raise InvalidInput(f"{name!r} wants pairs of texts, and a job has one text a row")
    verb = getattr(client, form.verb.name)
    try:
        about = ([PROBE],) if form.verb.name != "rerank" else (PROBE, [PROBE])
        answer = verb(*about, model=name, priority="bulk", **options)
    except InferenceFailed as error:
        raise EncserveError(f"{name!r} does not answer a short text: {error}") from error
    return replace(pipeline, version=answer.version, certificate=answer.certificate)


def _calls_of(ordered: Sequence[Text]) -> list[Sequence[Text]]:
    """Texts of one query each, so many at once."""
    calls: list[Sequence[Text]] = []
    begin = 0
    for place in range(1, len(ordered) + 1):
        full = place - begin == TEXTS_AT_ONCE
        if place == len(ordered) or full or ordered[place].query != ordered[begin].query:
            calls.append(ordered[begin:place])
            begin = place
    return calls
