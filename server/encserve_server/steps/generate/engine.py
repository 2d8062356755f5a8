"""Continuous batching: texts join and leave between the steps of a decoder that never waits for a batch to end.

One thread does all of it: it lets texts in, runs the encoder for them, then one step for all texts that are being
decoded. In Triton `step` drives the engine; when a pipeline is certified the exporter does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..encode.host.cores import usable_cores
from ..encode.host.requirements import HostRequirements, check_host, this_process
from ..instance.lanes import INTERACTIVE, LANES
from ..instance.load_page import Load
from ..instance.loops import Loop, Report, print_fault
from ..instance.settings import check_sha256, read_settings
from .decoder.network import GenerateNetwork
from .decoder.round import Round
from .decoder.rows import Rows
from .door.admission import admit
from .door.ahead import Ahead
from .door.in_time import InTime
from .door.limits import EngineLimits
from .door.pace import Pace, hypotheses_of
from .door.refusal import QueueFull, check_count, check_time, estimate_of, have_room_and_time
from .door.room import Room
from .door.turns import Turns
from .texts.text import CANCELLED, DEADLINE, GeneratedText, NotFinite


class Engine:
    """The network of one version and the thread that runs it. A context manager that any number of threads may use.

    Args:
        folder: the version folder, with the graphs and the settings beside them.
        limits: in place of those in the settings.
        count: takes what each round did.
        report: takes what goes wrong by a fault of ours.

    Raises:
        RuntimeError: this host lacks what the version requires.
        ValueError: a file is not the certified one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        limits: EngineLimits | None = None,
        count: Callable[[Round], None] = lambda done: None,
        report: Report = print_fault,
    ) -> None:
        settings = read_settings(folder)
        requirements = HostRequirements.of(settings)
        check_host(requirements, this_process(requirements))
        for file, digest in settings["graph_sha256"].items():
            check_sha256(folder / file, digest)
        self.limits = limits or EngineLimits(**settings["engine"])
        self._network = GenerateNetwork.certified(folder, settings, threads=usable_cores())
        self._room = Room(self._network.shape, self.limits)
        self._start: int = settings["start_token"]
        self._count, self._report = count, report
        self._decoded: dict[int, Rows] = {}
        """The texts that are decoded, by how many hypotheses each has."""
        self._coming: list[GeneratedText] = []
        """Those that are encoded now, and decoded from then on."""
        self._waiting = Turns()
        self._pace = Pace()
        self._ahead: dict[str, Ahead] = {}
        """Lane -> those that come before a text that comes now, where that was asked since any of them changed."""
        self._round_ended_s: float | None = None
        """When the last round ended, on the clock of `time.monotonic`; None where nothing was to do since."""
        self._was_refused = False
        """Whether a request was refused since the last round began."""
        self._left_behind = False
        """Whether the last round began without texts for which there was no room, or no time."""
        self._passed_over: frozenset[str] = frozenset()
        """The lanes of which it began without any texts that had come: also those that wait to be encoded."""
        self._changed = threading.Condition()
        self._closed = False
        self._thread = Loop(
            "engine",
            take=self._wait,
            do=lambda _: self._round(),
            give_up=lambda _, error: self._fail(error),
            report=report,
        ).start()

    def put(self, texts: Sequence[GeneratedText]) -> None:
        """Let the texts of a request, of which all or none come `first`, wait for their turn.

        Raises:
            InvalidArgument: one could never be decoded here.
            QueueFull: too many wait, or for too long.
            RuntimeError: it is closed, or closes.
        """
        for text in texts:
            self._room.check(text)
        with self._changed:
            if self._closed:
                raise RuntimeError("the engine is closed")
            try:
                ahead = self._check_queue(texts)
            except QueueFull:
                self._was_refused = True
                raise
            self._waiting.put(texts)
            self._ahead = ahead
            self._changed.notify()

    def _check_queue(self, texts: Sequence[GeneratedText]) -> dict[str, Ahead]:
        """Refuse a request where too many wait, or its last text, behind its others, would come too late. Nobody is
        refused for that as long as there is room for all of it, and nobody waits who was here when the last round
        began. Only the last has an estimate, and says later how long it took. Returns what comes before others, with
        these texts. Raises QueueFull."""
        *others, last = texts
        lane = last.lane
        if last.first:
            return {}
        check_count(texts, len(self._waiting.of(lane)), max_queued_texts=self.limits.max_queued_texts)
        before = self._before(lane).then(others)
        with_it = before.then([last])
        now_s = time.monotonic()
        if lane == INTERACTIVE:
            self._pace.came(last, now_s)
        if self._pace.round_s:
            rows, prefill_tokens = with_it.rows, self.limits.prefill_tokens
            last.estimate = estimate_of(self._pace, last, before, now_s, rows=rows, prefill_tokens=prefill_tokens)
            if self._wait_before(lane) or not have_room_and_time(self._pace, last, with_it, now_s):
                check_time(self._pace, last, last.estimate, now_s)
        behind = [each for each in LANES[LANES.index(lane) + 1 :] if each in self._ahead]
        return {**self._ahead, lane: with_it, **{each: self._ahead[each].then(texts) for each in behind}}

    def _before(self, lane: str) -> Ahead:
        """Return what comes before a text that would be put into a lane now."""
        if lane not in self._ahead:
            active = self._active
            self._ahead[lane] = Ahead(self._pace, self._room.beside(active), active).then(self._waiting.before(lane))
        return self._ahead[lane]

    def _wait_before(self, lane: str) -> bool:
        """Whether any that come before a text of a lane wait although they were here when the last round began."""
        lanes = LANES[: LANES.index(lane) + 1]
        return any(each in self._passed_over and self._waiting.of(each) for each in lanes)

    @property
    def _active(self) -> list[GeneratedText]:
        """The texts that are encoded or decoded; only the engine's thread may ask without the lock."""
        return [*(text for rows in self._decoded.values() for text in rows.texts), *self._coming]

    def load(self, lane: str) -> Load:
        """Return the load of a lane: the tokens that its texts may still get."""
        with self._changed:
            texts = [*self._waiting.of(lane), *(text for text in self._active if text.lane == lane)]
        return Load(tokens=sum(text.left for text in texts), rate=0.0, room=0.0)

    def work(self, lane: str) -> Load:
        """Return the work of a lane that waits for room, by what its texts will probably get."""
        with self._changed:
            return self._pace.work(self._waiting.left_behind(lane))

    def decoded(self, lane: str) -> int:
        """Return how many texts of a lane are encoded or decoded."""
        with self._changed:
            return sum(text.lane == lane for text in self._active)

    def waiting(self, lane: str) -> int:
        """Return how many texts of a lane wait for their turn."""
        with self._changed:
            return len(self._waiting.of(lane))

    @property
    def cache_bytes(self) -> int:
        """The bytes that the keys and values of the texts under way take, with the places that are free."""
        with self._changed:
            return sum(rows.cache.bytes for rows in self._decoded.values())

    def close(self) -> None:
        """Decode the texts that are there, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait(self) -> bool | None:
        """Wait until there is something to do; None where there will not be."""
        with self._changed:
            while not self._decoded and not self._waiting:
                if self._closed:
                    return None
                self._pace.was_idle()
                self._round_ended_s = None
                self._changed.wait()
        return True

    def _round(self) -> None:
        begun_s = self._round_ended_s or time.monotonic()
        with self._changed:
            refused, self._was_refused = self._was_refused, False
        wanted = self._left_behind or refused
        self._drop_waiting(wanted=wanted)
        self._drop_decoded(wanted=wanted)
        done = Round()
        self._admit(done)
        for beams in list(self._decoded):
            self._drop_decoded(wanted=self._left_behind or refused)  # what came before may have taken long
            if rows := self._decoded.get(beams):
                self._step(rows, done)
        self._round_ended_s = time.monotonic() if done.rows else None
        if self._round_ended_s:
            with self._changed:
                self._pace.round_took(self._round_ended_s - begun_s, done)
                self._ahead.clear()
        self._count(done)

    def _drop_waiting(self, *, wanted: bool) -> None:
        """End the texts that wait and that nobody waits for any more, or that cannot be whole in time where others want
        their places."""
        now_s = time.monotonic()

        def is_over(text: GeneratedText) -> bool:
            lost = wanted and self._pace.is_lost(text, now_s)
            return lost or text.is_gone(now_s) or now_s > text.waits_until_s

        with self._changed:
            if gone := self._waiting.drop(is_over):
                self._ahead.clear()
        for text, finish in [(text, text.why_gone) for text in gone]:  # one may give up the next
            self._end_gone(text, finish)

    def _drop_decoded(self, *, wanted: bool) -> None:
        """The same of those that are decoded."""
        now_s = time.monotonic()
        gone = [
            (decoded, row, text.why_gone)  # one may give up the next
            for decoded in self._decoded.values()
            for row, text in reversed(list(enumerate(decoded.texts)))
            if text.is_gone(now_s) or (wanted and self._pace.is_lost(text, now_s))
        ]
        for decoded, row, finish in gone:  # each is told as soon as it is taken out, before the next may fail to be
            self._end_gone(self._remove(decoded, row), finish)

    def _end_gone(self, text: GeneratedText, finish: str) -> None:
        """End a text that nobody waits for. Raises nothing."""
        with self._alone(text):
            if finish == DEADLINE:
                self._learn(text)
            text.end(finish)

    def _learn(self, text: GeneratedText) -> None:
        """Learn how long a text took until now, of what was estimated of it."""
        if text.estimate and not text.first:
            with self._changed:
                self._pace.took(text, time.monotonic())

    def _admit(self, done: Round) -> None:
        """Encode the texts whose turn it is and for which there is room."""
        with self._changed:
            active = self._active
            in_time = InTime(self._pace, active, time.monotonic())
            prefill_tokens, self._coming = self.limits.prefill_tokens, []
            came = admit(self._waiting, active, self._room, in_time, prefill_tokens=prefill_tokens, coming=self._coming)
            self._left_behind = came.left_behind
            self._passed_over = frozenset(lane for lane in LANES if self._waiting.of(lane))
            self._ahead.clear()
        admitted, done.is_full = list(came.texts), came.is_full
        if not admitted:
            return
        done.is_health = all(text.first for text in admitted)
        begun_s = time.monotonic()
        try:
            sources = self._network.encode_apart([text.source for text in admitted])
        except BaseException as error:  # of which the texts in the cache know nothing
            self._report("engine", error)
            with self._changed:
                self._coming.clear()
                self._ahead.clear()
            for text in admitted:
                text.fail(error)
            return
        for text, source in zip(admitted, sources, strict=True):
            beams = text.choice.beams
            rows = self._decoded.get(beams) or Rows(self._network.shape, beams)
            rows.cache.add(source)
            with self._changed:
                self._coming.remove(text)
                rows.texts.append(text)
                self._decoded[beams] = rows
        done.source_tokens, done.encoding_s = came.source_tokens, time.monotonic() - begun_s

    def _step(self, rows: Rows, done: Round) -> None:
        done.rows.append(len(rows.texts))
        done.hypotheses += hypotheses_of(rows.texts)
        logits = rows.step(self._network, self._start)  # (T, K, V)
        finite = np.isfinite(logits).all(axis=(1, 2))
        for row in reversed(range(len(rows.texts))):
            text = rows.texts[row]
            if text.is_gone(time.monotonic()):  # and with beams it takes long to choose a token
                self._end_gone(text, text.why_gone)
            elif finite[row]:
                with self._alone(text):
                    parents = text.go_on(logits[row])
                    done.gave(text, time.monotonic())
                    if text.rounds == 1 and not text.ended:
                        self._learn(text)
                    if parents is not None and not text.ended:
                        rows.cache.follow(row, parents)
            else:
                text.fail(NotFinite(f"the network gave NaN or infinity for token {len(text.tokens)} of a text"))
            if text.ended:
                self._remove(rows, row)
                if text.error is None and not text.first and text.finish not in (CANCELLED, DEADLINE):
                    with self._changed:
                        self._pace.has_ended(text)
                    self._learn(text)

    @contextmanager
    def _alone(self, text: GeneratedText) -> Iterator[None]:
        """Go on with a text; what goes wrong in that is reported, and fails no other."""
        try:
            yield
        except BaseException as error:  # a panic of the tokenizer, too
            self._report("engine", error)
            text.fail(error)

    def _remove(self, rows: Rows, row: int) -> GeneratedText:
        """Take a text out of those that are decoded."""
        rows.cache.remove(row)  # which copies another, while others may ask what is under way
        with self._changed:
            text = rows.take(row)
            self._ahead.clear()
            if not rows.texts:
                del self._decoded[text.choice.beams]
        return text

    def _fail(self, error: BaseException) -> None:
        """Answer that what is being decoded, or was to be, failed, and begin anew with an empty cache."""
        with self._changed:
            failed, self._decoded, self._coming, self._round_ended_s = self._active, {}, [], None
            self._ahead.clear()
        for text in failed:
            if not text.ended:  # or its request may have its answer
                text.fail(error)
        self._count(Round())
