"""Requests that are computed together: their texts in micro-batches, each request answered with its last text."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .packed_session import Columns, PackedSession
from .recent_rows import Claim, RecentRows, keys_of

Rows: TypeAlias = Mapping[str, NDArray[np.float32]]
"""Output -> its rows, (rows, W)."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a request asks of the network."""

    columns: Columns
    outputs: tuple[str, ...]
    fresh: bool
    """Whether it wants what the network gives now, and no rows that were kept."""
    answer: Callable[[Rows | Exception], None]
    """Called once, on the thread that computed the last text: with the rows of all texts, or with what went wrong."""


def cut(
    questions: Sequence[Question], session: PackedSession, recent: RecentRows, *, lane: str, workers: int, alone: bool
) -> list[MicroBatch]:
    """Cut the texts of requests into micro-batches for `workers` threads that are free.

    Texts whose rows are at hand are answered at once. Texts that are under way in the same lane are not computed
    again. `alone` says whether a single micro-batch may have all cores.
    """
    outputs = tuple(dict.fromkeys(output for question in questions for output in question.outputs))
    texts: list[_Text] = []
    for question in questions:
        answer = _Answer(question, session)
        keys = repeat(None) if question.fresh or not recent.keeps else keys_of(question.columns)
        for index, key in zip(range(len(question.columns["input_ids"])), keys, strict=False):
            claim = Claim(lane, outputs, key) if key else None
            text = _Text(question.columns, index, answer, claim)
            if claim is None or recent.claim(claim, text.take):
                texts.append(text)
    lengths = np.array([text.tokens for text in texts], np.int64)
    try:
        groups = session.groups(lengths, workers=workers)
    except Exception as error:  # others may wait for these texts already
        for text in texts:
            text.settle(error, recent)
        return []
    return [
        MicroBatch([texts[index] for index in group], outputs, session, recent, alone and len(groups) == 1)
        for group in groups
    ]


class MicroBatch:
    """Texts of similar lengths, of any requests."""

    def __init__(
        self,
        texts: Sequence[_Text],
        outputs: tuple[str, ...],
        session: PackedSession,
        recent: RecentRows,
        alone: bool,
    ) -> None:
        self._texts = texts
        self._outputs = outputs
        self._session = session
        self._recent = recent
        self._alone = alone
        self.texts = len(texts)
        self.tokens = sum(text.tokens for text in texts)

    def run(self) -> None:
        """Compute the texts on this thread, and answer the requests that are complete then."""
        for text, rows in zip(self._texts, self._each(self._texts), strict=True):
            text.settle(rows, self._recent)

    def _each(self, texts: Sequence[_Text]) -> list[Rows | Exception]:
        """The rows of each text. Where the network fails each is tried by itself: one may have failed the others."""
        columns = {name: [text.columns[name][text.index] for text in texts] for name in texts[0].columns}
        try:
            return self._parts(columns, self._session.run_pack(columns, self._outputs, alone=self._alone))
        except Exception as error:
            return [error] if len(texts) == 1 else [rows for text in texts for rows in self._each([text])]

    def _parts(self, columns: Columns, rows: Rows) -> list[Rows | Exception]:
        parts = {
            output: np.split(of_all, np.cumsum(self._session.rows_of(columns, output))[:-1])
            for output, of_all in rows.items()
        }
        return [{output: part[index] for output, part in parts.items()} for index in range(len(columns["input_ids"]))]


class _Answer:
    """The rows of a request, as its texts are computed, by any threads and in any order."""

    def __init__(self, question: Question, session: PackedSession) -> None:
        self._question = question
        self._ends = {
            output: np.cumsum(session.rows_of(question.columns, output)).tolist() for output in question.outputs
        }
        self._rows: dict[str, NDArray[np.float32]] = {}
        self._left = len(question.columns["input_ids"])
        self._error: Exception | None = None
        self._lock = threading.Lock()

    def take(self, index: int, rows: Rows | Exception) -> None:
        with self._lock:
            try:
                self._put(index, rows)
            except Exception as error:  # also where there is no memory for the rows
                self._error = error
            self._left -= 1
            complete = self._left == 0
        if complete:
            self._question.answer(self._error or self._rows)

    def _put(self, index: int, rows: Rows | Exception) -> None:
        if isinstance(rows, Exception):
            raise rows
        for output, ends in self._ends.items():
            own = rows[output]
            if output not in self._rows:
                self._rows[output] = np.empty((ends[-1], own.shape[1]), np.float32)
            self._rows[output][ends[index] - len(own) : ends[index]] = own


@dataclass(frozen=True)
class _Text:
    """One text of a request."""

    columns: Columns
    """Of the whole request."""
    index: int
    answer: _Answer
    claim: Claim | None
    """What others may wait for; None where they may not."""

    @property
    def tokens(self) -> int:
        return len(self.columns["input_ids"][self.index])

    def take(self, rows: Rows | Exception) -> None:
        self.answer.take(self.index, rows)

    def settle(self, rows: Rows | Exception, recent: RecentRows) -> None:
        """Hand its rows to its own request, and to all others that wait for them."""
        if self.claim is None:
            self.take(rows)
        else:
            recent.settle(self.claim, rows)
