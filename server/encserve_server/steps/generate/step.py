"""The generate step in Triton: texts in, new texts out, as whole texts or piece by piece.

Four threads share the work: Triton's, which reads requests and tokenizes; the engine's, which computes; one that
sends, so that no step waits for a response to be taken, and that looks which callers have gone; and one that tells who
may not wait, behind whom the next request waits for nothing.
"""

from __future__ import annotations

import queue
import secrets
import sys
import time
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from ..instance.failures import Failures
from ..instance.load_page import LoadWriter, is_closing, page_file
from ..instance.loops import Loop
from ..instance.metrics import Metrics
from ..instance.restarts import show_restarts
from ..instance.settings import check_sha256, instance_of, read_settings, version_folder
from ..request.health import HealthQuestions
from ..request.options import InvalidArgument, OptionRules
from ..request.replies import cancelled, invalid, unavailable
from ..tokenize.limits import estimated_tokens
from ..tokenize.listed.pieces import ListedPieces
from ..tokenize.tokenization import Tokenization
from ..trace.tracing import open_tracing
from .answers.call import GenerateCall
from .answers.counts import GenerateCounts
from .answers.generate_trace import GenerateTrace, generate_trace
from .answers.looks import UNDER_WAY_S, Looks
from .answers.shown_work import ShownWork
from .decoder.round import Round
from .door.refusal import QueueFull
from .engine import Engine
from .texts.choice import choices_of
from .texts.languages import Languages
from .texts.pieces import Pieces
from .texts.rules import rules_in
from .texts.text import GeneratedText

HELD_S = 0.05
"""For so many seconds a piece waits for the next of its text before it is sent alone."""
TOLD_BEFORE = 0.05
TOLD_BEFORE_S = 0.05
"""The part of its timeout, and the seconds at least, before which a text that waits for its turn is told that the time
is up, by an answer which thus comes to a caller that is still there, and tells it of a server that lives. It may wait
for half of its timeout at least."""
STREAMS_TOKEN_BY_TOKEN = 8
"""Of so many streams each token is sent as soon as it is there. Where more have begun a response a token would take a
fifth of both cores from the network, and every second token of a text goes with the next, if tokens come fast."""
MOST_UNTOLD = 1_024
"""While so many wait to be told that they may not wait, the thread that reads requests tells the next one itself, and
reads none meanwhile."""
SWITCH_S = 0.0005
"""Seconds after which a thread that computes in Python lets another go on that waits for it, a tenth of Python's
default: a request is read and refused in several turns, between which the engine chooses the tokens of all texts."""
_LOOK = "look"
_CAME = "came"
"""Somebody has come: from now on it is to be looked who has gone."""


class TritonPythonModel:
    """Takes requests from Triton, puts their texts into the engine, and sends what becomes of them."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Load the network and the tokenizer, after checking that they are the certified ones."""
        sys.setswitchinterval(SWITCH_S)
        folder = version_folder(args)
        settings = read_settings(folder)
        check_sha256(folder / "tokenizer.json", settings["tokenizer_sha256"])
        self._rules = OptionRules.from_settings(settings)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        pieces = ListedPieces.in_folder(folder, settings)
        self._tokenization = Tokenization(self._tokenizer, settings, pieces=pieces)
        self._fixed, self._languages = rules_in(settings), Languages.in_settings(settings)
        self._metrics = Metrics(args)
        self._failures = Failures(args["model_name"], self._metrics, sees_texts=True)
        self._failures.expect("engine", "replies", "refusals")
        self._counts = GenerateCounts(self._metrics)
        self._tracing = open_tracing(args, step="_generate", metrics=self._metrics, failures=self._failures)
        show_restarts(self._metrics, args)
        self._health = HealthQuestions()
        page = LoadWriter(page_file(args["model_name"], args["model_version"]), instance_of(args))
        self._engine = Engine(folder, count=self._count_round, report=self._failures.report)
        self._work = ShownWork(page, self._engine)
        self._open: dict[GenerateCall, None] = {}
        """The calls that are not over, in the order in which they came."""
        self._looks = Looks()
        self._streams: set[GenerateCall] = set()
        """Those of them that are answered piece by piece and have begun, which the thread that sends alone changes."""
        self._to_send: queue.SimpleQueue[GenerateCall | str | None] = queue.SimpleQueue()
        self._has_sent = False
        """Whether something was sent since the last look."""
        self._next_held_s = 0.0
        """When it is to be looked which pieces wait for the next of their text."""
        self._replying = Loop[GenerateCall | str](
            "replies",
            take=self._news,
            do=self._reply,
            give_up=lambda call, error: call.give_up(error) if isinstance(call, GenerateCall) else None,
            report=self._failures.report,
        ).start()
        self._refused: queue.SimpleQueue[tuple[GenerateCall, str] | None] = queue.SimpleQueue()
        self._refusing = Loop[tuple[GenerateCall, str]](
            "refusals",
            take=self._refused.get,
            do=lambda refused: refused[0].answer(unavailable(refused[1])),
            give_up=lambda refused, error: refused[0].give_up(error),
            report=self._failures.report,
        ).start()
        self._metrics.work(self._engine.work)
        self._counts.watch(self._metrics, self._engine)
        self._metrics.start(self._failures.report)

    def execute(self, requests: list[Any]) -> None:
        """Let the texts of each request wait for the engine, which answers them; a wrong request fails alone."""
        # The time of each goes on from here, also while those before it are read.
        for call in [GenerateCall(request, self._failures, over=self._counts.over) for request in requests]:
            if self._tracing:
                call.trace = generate_trace(self._tracing, call)
            with call.guarded():
                if is_closing():
                    call.answer(unavailable("the server is closing and lets no new request in"))
                else:
                    self._admit(call)

    def _admit(self, call: GenerateCall) -> None:
        """Put the texts of a call into the engine, or give up those of another. Raises InvalidArgument."""
        call.streamed = call.parameters.get("stream") is True
        options = self._rules.check(call.parameters)
        if options["cancel"]:
            call.trace = None
            call.is_no_request()
            self._counts.cancel_message()
            for other in list(self._open):
                if other.id == options["cancel"]:
                    other.give_up_texts()
            call.answer(cancelled(f"request {options['cancel']} is given up"))
            return
        given = list(call.tensor("text"))
        read = self._tokenization.read({"text": given}, options)
        (tensors,) = self._tokenization.tokenize([(read, options)])
        if isinstance(tensors, InvalidArgument):
            call.answer(invalid(tensors))
            return
        lengths, rules = tensors["lengths"], self._fixed
        sources = np.split(tensors["input_ids"], lengths.cumsum()[:-1])
        if self._languages:
            self._languages.mark(sources, options)
            rules = rules | self._languages.first(options)
        chance = secrets.randbits(63) if options["do_sample"] else 0  # for which Python lets others go on
        choices = choices_of(call.parameters, options, len(read[0]), rules=rules, chance=chance)
        stops = options["stop"] or []
        tokens = sum(map(estimated_tokens, given)) + options["max_new_tokens"]  # without prompt
        is_health = len(given) == 1 and self._health.is_one(call.health_token, tokens)
        timeout_s = call.timeout_s or float("inf")
        texts = [
            GeneratedText(
                source=source,
                choice=choice,
                max_new_tokens=options["max_new_tokens"],
                pieces=Pieces(self._tokenizer, stops),
                tell=call.told,
                lane=options["lane"],
                first=is_health,
                arrived_s=call.arrived_s,
                deadline_s=call.arrived_s + timeout_s,
                waits_until_s=call.arrived_s + _may_wait_s(timeout_s),
            )
            for source, choice in zip(sources, choices, strict=True)
        ]
        if isinstance(trace := call.trace, GenerateTrace):
            trace.lane, trace.texts, trace.tokenized_s = options["lane"], texts, time.monotonic()
        call.expect(
            texts,
            {name: tensors[name] for name in ("token_count", "dropped_count")},
            streamed=options["stream"],
            announce=self._to_send.put,
            holds=lambda: len(self._streams) > STREAMS_TOKEN_BY_TOKEN,
        )
        self._open[call] = None
        try:
            self._engine.put(texts)
        except BaseException as error:
            del self._open[call]
            if not isinstance(error, QueueFull):
                raise
            self._counts.refused(options["lane"], error)
            if self._refused.qsize() < MOST_UNTOLD:
                self._refused.put((call, str(error)))
            else:
                call.answer(unavailable(str(error)))
        else:
            if self._looks.add(call):
                self._to_send.put(_CAME)  # so that its caller is looked for, even while nothing is sent
            self._work.begins()  # before the engine shows it, whose first round may take long

    def _news(self) -> GenerateCall | str | None:
        """Return a call that has something to send; `_LOOK` where it is time to look who has gone, though no second
        time while there is something to send; None at the end."""
        due_s = self._looks.due_s
        wait_s = max(due_s - time.monotonic(), 0.0)
        if not wait_s and self._has_sent:
            return _LOOK
        try:
            return self._to_send.get(timeout=None if due_s == float("inf") else wait_s)
        except queue.Empty:
            return _LOOK

    def _reply(self, call: GenerateCall | str) -> None:
        self._has_sent = call != _LOOK
        if isinstance(call, str):
            if call == _LOOK:
                self._send_held()
                self._looks.look()
            return
        if call.streamed and call in self._open:
            self._streams.add(call)
        call.send()
        if call.is_over and call in self._open:
            del self._open[call]
            self._streams.discard(call)
            self._counts.texts_ended(call)

    def _send_held(self) -> None:
        """Have sent what waits for a piece that does not come, behind what there is to send."""
        if time.monotonic() >= self._next_held_s:
            self._next_held_s = time.monotonic() + UNDER_WAY_S
            for call in self._streams:
                if call.has_held(HELD_S):
                    self._to_send.put(call)

    def _count_round(self, done: Round) -> None:
        self._counts.round(done)
        self._work.show()

    def finalize(self) -> None:
        """Decode the texts that are there, send them, and end the threads."""
        self._engine.close()
        self._to_send.put(None)
        self._replying.join()
        self._refused.put(None)
        self._refusing.join()
        if self._tracing:
            self._tracing.close()
        self._metrics.close()


def _may_wait_s(timeout_s: float) -> float:
    """The seconds for which a text may wait for its turn."""
    return max(min(timeout_s - TOLD_BEFORE_S, (1 - TOLD_BEFORE) * timeout_s), timeout_s / 2)
