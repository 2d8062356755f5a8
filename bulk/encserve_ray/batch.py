"""One batch of a dataset: its rows as questions, and its table with their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from encserve import ContractError, InvalidInput, PipelineInfo
from encserve._verbs.options import CallOptions, options_of
from encserve_bulk.answers import FORMS, Form
from encserve_bulk.columns import check_names, columns_of
from encserve_bulk.questions import Questions, Row, Text

VERSION = "version"
"""The column with the version that answered."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a predictor asks about each row."""

    verb: str
    text: str
    """The column of the texts."""
    query: str | None
    """The column of the queries, of `rerank`."""
    options: Mapping[str, Any]
    """The keywords of the verb."""

    def __post_init__(self) -> None:
        if self.verb not in FORMS:
            raise InvalidInput(f"verb is {self.verb!r}, expected one of {', '.join(FORMS)}")
        if (self.verb == "rerank") != (self.query is not None):
            raise InvalidInput(f"query is {self.query!r}: rerank wants the column of the queries, other verbs none")
        if taken := {"model", "priority", "progress"} & self.options.keys():
            raise InvalidInput(f"options holds {', '.join(sorted(taken))}, which the predictor says itself")
        if unknown := self.options.keys() - self.form.verb.options.keys() - options_of(CallOptions).keys():
            raise InvalidInput(f"options holds {', '.join(sorted(unknown))}, which {self.verb} does not take")
        if self.verb == "rerank" and self.options.get("top_k") is not None:
            raise InvalidInput("options holds top_k, which rerank does not take here: each row has a score")
        self.form.verb.given(self.options)  # refuses impossible values

    @property
    def form(self) -> Form:
        """The verb."""
        return FORMS[self.verb]

    def read(self, table: Any, pipeline: PipelineInfo) -> Batch:
        """The questions about a batch.

        Raises:
            InvalidInput: it is no Arrow table, or lacks a column, or has one with the name of an answer.
        """
        if not isinstance(table, pa.Table):
            kind = type(table).__name__
            raise InvalidInput(f"the batch is a {kind}: call map_batches with batch_format='pyarrow'")
        wanted = [self.text] if self.query is None else [self.text, self.query]
        for name in wanted:
            if name not in table.column_names:
                raise InvalidInput(f"the dataset has no column {name!r}, only {', '.join(table.column_names)}")
        types = self.form.columns(pipeline, self.options)
        check_names(table.column_names, types, VERSION)
        texts, *queries = (table.column(name).to_pylist() for name in wanted)
        questions = Questions.about(texts, queries[0] if queries else [], max_bytes=pipeline.max_bytes_per_text)
        return Batch(table=table, questions=questions, types=types)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A table that waits for its answers."""

    table: pa.Table
    questions: Questions
    types: Mapping[str, pa.DataType]

    def answered(self, found: Mapping[Text, Row], version: str) -> pa.Table:
        """The table with the columns of the answers; a row without an answer has an error."""
        table = self.table
        for name, column in columns_of(self.questions.rows(found), self.types).items():
            table = table.append_column(name, column)
        return table.append_column(VERSION, pa.array([version or None] * len(table), pa.string()))


class Version:
    """The version that answers all rows of a predictor: the one that was asked for, or else the first that answers."""

    def __init__(self, wanted: int | str | None) -> None:
        self.number = "" if wanted is None else str(wanted)

    def check(self, version: str, model: str) -> None:
        """Refuse another version. Raises ContractError."""
        self.number = self.number or version
        if version != self.number:
            raise ContractError(
                f"version {version} of {model!r} answers, and {self.number} is wanted: answers of both must not stand "
                "side by side",
                model=model,
                version=version,
            )


def is_empty(table: Any) -> bool:
    """Whether a batch has no rows. Ray hands over such ones without their columns."""
    return isinstance(table, pa.Table) and not table.num_rows


def distinct(calls: Sequence[Sequence[Text]], answers: Sequence[Sequence[Row]]) -> dict[Text, Row]:
    """What is known about each text, from the answers to calls."""
    return {
        text: row for texts, rows in zip(calls, answers, strict=True) for text, row in zip(texts, rows, strict=True)
    }
