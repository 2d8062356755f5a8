"""The rows of a window, asked in the order that suits the server, and answered one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace

from encserve import Answer, Client, EncserveError, InferenceFailed, PipelineInfo

from .answers import Form, Options
from .questions import Questions, Row, Text, arguments_of, ask_about, check_task, check_version, probe_of
from .source import Window


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
        """Begin to ask about the rows of a window."""
        questions = Questions.about(window.texts, window.queries, max_bytes=self.pipeline.max_bytes_per_text)
        calls = [(texts, self.executor.submit(ask_about, self.form, texts, self._ask)) for texts in questions.calls]
        return Started(window=window, questions=questions, calls=calls)

    def _ask(self, texts: Sequence[Text]) -> Answer:
        verb = getattr(self.client, self.form.verb.name)
        answer: Answer = verb(*arguments_of(texts), model=self.pipeline.name, priority="bulk", **self.options)
        check_version(answer, self.pipeline.version)
        return answer


@dataclass(frozen=True, kw_only=True)
class Started:
    """A window whose texts are being asked about."""

    window: Window
    questions: Questions
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
        told(len(self.questions.asked) - len(found))  # texts that stand twice, and rows without one
        return self.questions.rows(found)


def version_of(form: Form, client: Client, name: str, options: Options) -> PipelineInfo:
    """The pipeline with the version that answers now, and answers with these options.

    Raises:
        InvalidInput: it does not do the verb's task, or refuses an option.
        EncserveError: it cannot be asked.
    """
    pipeline = client.pipeline(name)
    check_task(form, pipeline)
    verb = getattr(client, form.verb.name)
    try:
        answer = verb(*arguments_of(probe_of(form)), model=name, priority="bulk", **options)
    except InferenceFailed as error:
        raise EncserveError(f"{name!r} does not answer a short text: {error}") from error
    return replace(pipeline, version=answer.version, certificate=answer.certificate)
