"""Requests that are computed together: their texts in micro-batches, each request answered with its last text."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from .network.packed_session import PackedSession
from .recent_rows import Claim, Key, RecentRows, keys_of
from .request import Columns, Computed, EncodeRequest, NonFiniteRows, Rows, Watch, as_exception
from .shared.shared_rows import SharedRows, Wanted


@dataclass(frozen=True)
class Cutter:
    """Cuts the requests of one lane into micro-batches."""

    session: PackedSession
    recent: RecentRows
    lane: str
    shared: SharedRows | None = None
    """What several servers share, which is asked where the recent rows have nothing; None where there is none."""

    def cut(self, requests: Sequence[EncodeRequest], *, workers: int, all_cores: bool) -> list[MicroBatch]:
        """Return the micro-batches into which the texts of requests are cut, for `workers` threads that are free.

        Texts whose rows are at hand are answered at once. Texts that are under way in the same lane are not computed
        again. `all_cores` says whether a single micro-batch may have all cores. Whatever this raises, all texts are
        answered that others may wait for; the requests themselves are not.
        """
        session, recent = self.session, self.recent
        computed = tuple(dict.fromkeys(output for request in requests for output in request.outputs))
        texts: list[_Text] = []
        try:
            for request in requests:
                answer = _Answer(request, session)
                keyed = not request.fresh and (recent.keeps or self.shared is not None)
                keys = keys_of(request.columns) if keyed else repeat(None)
                for index, key in zip(range(request.texts), keys, strict=False):
                    claim = Claim(self.lane, computed, key) if key and recent.keeps else None
                    text = _Text(request.columns, index, answer, claim, key, request.outputs)
                    texts.append(text)  # before it is claimed: a claim without its text would never be settled
                    if claim is not None and not recent.claim(claim, text.take, wanted=request.outputs):
                        texts.pop()
            self._take_shared(texts)
            watched = any(request.watch is not None for request in requests)
            groups = session.groups(np.array([text.tokens for text in texts], np.int64), workers=workers)
            return [
                MicroBatch(
                    [texts[index] for index in group],
                    computed,
                    session,
                    recent,
                    all_cores and len(groups) == 1,
                    self.shared,
                    watched=watched,
                )
                for group in groups
            ]
        except BaseException as error:
            for text in texts:  # others may wait for them already
                text.settle(as_exception(error), recent)
            raise

    def _take_shared(self, texts: list[_Text]) -> None:
        """Settle the texts whose rows are shared by another server, and leave the others in `texts`."""
        if self.shared is None:
            return
        asked = [place for place, text in enumerate(texts) if text.key is not None]
        columns = [
            {name: [column[texts[place].index]] for name, column in texts[place].columns.items()} for place in asked
        ]
        wanted = [
            Wanted(
                key=texts[place].key or (),
                rows={output: int(self.session.rows_of(own, output)[0]) for output in texts[place].awaited},
                tokens=texts[place].tokens,
            )
            for place, own in zip(asked, columns, strict=True)
        ]
        found = self.shared.find(wanted)
        for place, rows in reversed([*zip(asked, found, strict=True)]):
            if rows is not None:
                texts.pop(place).settle(rows, self.recent)  # no longer among them: nobody settles it again


class MicroBatch:
    """Texts of similar lengths that are computed together, out of any requests."""

    def __init__(
        self,
        texts: Sequence[_Text],
        outputs: tuple[str, ...],
        session: PackedSession,
        recent: RecentRows,
        all_cores: bool,
        shared: SharedRows | None = None,
        *,
        watched: bool = False,
    ) -> None:
        self._texts = texts
        self._unsettled = deque(texts)
        self._outputs = outputs
        self._session = session
        self._recent = recent
        self._all_cores = all_cores
        self._shared = shared
        self._watched = watched
        self.texts = len(texts)
        self.tokens = sum(text.tokens for text in texts)

    def run(self) -> None:
        """Compute the texts on this thread, and answer the requests that are complete then."""
        began_s = time.monotonic()
        computed = self._each(self._texts)
        ended_s = time.monotonic()
        if self._shared is not None:
            self._shared.worth.computed(self.tokens, ended_s - began_s)
        if self._watched:
            self._tell(began_s, ended_s)
        for rows in computed:
            text = self._unsettled.popleft()
            text.settle(rows, self._recent)
            if self._shared is not None and text.key is not None and not isinstance(rows, Exception):
                self._shared.offer(text.key, rows)

    def _tell(self, began_s: float, ended_s: float) -> None:
        """Tell those who watch a request that it was computed."""
        shares: dict[Watch, tuple[int, int]] = {}
        for text in self._texts:
            if (watch := text.answer.watch) is not None:
                texts, tokens = shares.get(watch, (0, 0))
                shares[watch] = texts + 1, tokens + text.tokens
        batch = Computed(
            number=secrets.token_hex(8),
            began_s=began_s,
            ended_s=ended_s,
            texts=self.texts,
            tokens=self.tokens,
            requests=len({id(text.answer) for text in self._texts}),
            shares=shares,
        )
        for watch in shares:
            watch.computed(batch)

    def give_up(self, error: BaseException) -> None:
        """Answer the requests of texts that are not computed with the error that kept them from it."""
        while self._unsettled:
            self._unsettled.popleft().settle(as_exception(error), self._recent)

    def _each(self, texts: Sequence[_Text]) -> list[Rows | Exception]:
        """Return the rows of each text. Where the network fails each text is tried by itself: one may have failed the
        others."""
        columns = {name: [text.columns[name][text.index] for text in texts] for name in texts[0].columns}
        try:
            return self._parts(columns, self._session.run_pack(columns, self._outputs, all_cores=self._all_cores))
        except Exception as error:
            return [error] if len(texts) == 1 else [rows for text in texts for rows in self._each([text])]

    def _parts(self, columns: Columns, rows: Rows) -> list[Rows | Exception]:
        parts = {
            output: np.split(of_all, np.cumsum(self._session.rows_of(columns, output))[:-1])
            for output, of_all in rows.items()
        }
        return [{output: part[index] for output, part in parts.items()} for index in range(len(columns["input_ids"]))]


class _Answer:
    """The rows of one request, which any threads add in any order as they compute its texts."""

    def __init__(self, request: EncodeRequest, session: PackedSession) -> None:
        self._request = request
        self._ends = {
            output: np.cumsum(session.rows_of(request.columns, output)).tolist() for output in request.outputs
        }
        self._rows: dict[str, NDArray[np.float32]] = {}
        self._left = request.texts
        self._error: Exception | None = None
        self._lock = threading.Lock()

    @property
    def watch(self) -> Watch | None:
        """Return who watches the request."""
        return self._request.watch

    def take(self, index: int, rows: Rows | Exception) -> None:
        with self._lock:
            try:
                self._put(index, rows)
            except Exception as error:  # also where there is no memory for the rows
                self._error = error
            self._left -= 1
            complete = self._left == 0
        if complete:
            self._request.answer(self._error or self._checked())

    def _checked(self) -> Rows | Exception:
        """Return rows, or an error in the place of rows with NaN or infinity, which are never an answer."""
        try:
            bad = self._texts_of_nonfinite()
        except Exception as error:  # also where there is no memory to look
            return error
        return NonFiniteRows(bad) if bad else self._rows

    def _texts_of_nonfinite(self) -> list[int]:
        bad: set[int] = set()
        for output, own in self._rows.items():
            (rows,) = np.nonzero(~np.isfinite(own).all(axis=1))
            bad.update(np.searchsorted(self._ends[output], rows, side="right").tolist())
        return sorted(bad)

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
    """One text of a request, and its place there."""

    columns: Columns
    """The packed tensors of the whole request, taken apart by text."""
    index: int
    answer: _Answer
    claim: Claim | None
    """The key by which other requests may wait for this text; None where they may not."""
    key: Key | None
    """What other servers share its rows by; None where they may not."""
    wanted: tuple[str, ...]
    """The outputs that its request asks for; beside the texts of others more may be computed."""

    @property
    def awaited(self) -> tuple[str, ...]:
        """The outputs without which it is not settled: all of its claim, as those who wait may want any of them."""
        return self.claim.outputs if self.claim else self.wanted

    @property
    def tokens(self) -> int:
        return len(self.columns["input_ids"][self.index])

    def take(self, rows: Rows | Exception) -> None:
        self.answer.take(self.index, rows)

    def settle(self, rows: Rows | Exception, recent: RecentRows) -> None:
        """Hand the rows of the text to its own request, and to all others that wait for them."""
        if self.claim is None:
            self.take(rows)
        else:
            recent.settle(self.claim, rows)
