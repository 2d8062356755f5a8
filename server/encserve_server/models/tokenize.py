"""The tokenize step: BYTES texts in, packed token ids out.

It is also the door of the pipeline. A request that finds room goes on at once; others wait here for their turn, or are
refused (`turns`).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from .batch_times import BatchTimes
from .counters import PERIOD_S, LabelledCounter, Periodically
from .load_page import Load, LoadReader, LoadWriter, closing_file, page_file
from .options import InvalidArgument, OptionRules, Options
from .replies import cancelled, failed, invalid, reply, send, unavailable
from .request_tensors import tensor_of
from .step_settings import check_sha256, instance_of, read_settings
from .tokenization import Tokenization
from .turns import Job, Overloaded, QueueLimits, Turns, estimate_tokens

MAX_QUEUED_TEXTS_VARIABLE = "ENCSERVE_MAX_QUEUED_TEXTS"

LOOK_S = 0.2
"""Between two looks for the encode step's page, and for its process."""

Read = tuple[list[list[str]], Options]
"""The texts of a request in groups, and its options."""


class TritonPythonModel:
    """Tokenizes the texts of all requests of a batch in one call."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Load the tokenizer, after checking that it is the certified one."""
        folder = Path(__file__).parent
        settings = read_settings(folder)
        check_sha256(folder / "tokenizer.json", settings["tokenizer_sha256"])
        self._rules = OptionRules.from_settings(settings)
        self._tokenization = Tokenization(Tokenizer.from_file(str(folder / "tokenizer.json")), settings)
        self._tensors = settings["tensors"]
        self._max_length = settings["limits"]["max_length"]
        self._encoder = _Encoder(settings["encode_model"], args["model_version"])
        page = LoadWriter(page_file(args["model_name"], args["model_version"]), instance_of(args))
        self._turns = Turns(queue_limits(settings), self._encoder.load, tell=page.tell)
        self._closing = closing_file()
        self._refused = LabelledCounter(
            args, "encserve_refused_requests", "Requests that were refused because too much waits already"
        )
        self._late = LabelledCounter(
            args,
            "encserve_late_requests",
            "Requests whose timeout passed while they waited, and that were not computed",
        )
        self._cancelled = LabelledCounter(
            args, "encserve_cancelled_requests", "Requests whose callers gave them up while they waited"
        )
        self._times = BatchTimes(args)
        self._each_second = Periodically()
        threading.Thread(target=self._serve_turns, name="turns", daemon=True).start()

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request with its own texts' tokens, now or in its turn; a wrong request fails alone."""
        if self._closing.exists():
            return [unavailable("the server is closing and lets no new request in") for _ in requests]
        responses: list[Any] = [None] * len(requests)
        now: list[tuple[int, Read]] = []
        refused: list[int] = []
        given_up: set[str] = set()
        for index, request in enumerate(requests):
            try:
                options = self._rules.parse(request.parameters())
                if options["cancel"]:
                    given_up.add(options["cancel"])
                    responses[index] = cancelled(f"request {options['cancel']} is given up")
                    continue
                read = self._read(request, options)
                if self._turns.enter(self._job(request, read)):
                    now.append((index, read))
            except InvalidArgument as error:
                responses[index] = invalid(error)
            except Overloaded as error:
                self._refused.add(lane=read[1]["lane"], limit=error.limit)
                responses[index] = unavailable(str(error))
                refused.append(index)
        if given_up:
            self._forget(given_up)
        if now:  # no refusal waits for the tokenizer
            for index in refused:
                send(requests[index].get_response_sender(), responses[index])
                responses[index] = None

        for (index, _), response in zip(now, self._tokenize([read for _, read in now]), strict=True):
            responses[index] = response
        return responses

    def _forget(self, request_ids: Set[str]) -> None:
        for job in self._turns.cancel(request_ids):
            self._cancelled.add(lane=job.lane)
            send(job.work[1], cancelled("the caller gave the request up while it waited"))

    def _read(self, request: Any, options: Options) -> Read:
        inputs: dict[str, Any] = {name: tensor_of(request, name) for name in self._tokenization.inputs}
        return self._tokenization.read(inputs, options), options

    def _job(self, request: Any, read: Read) -> Job:
        groups, options = read
        return Job(
            lane=options["lane"],
            texts=sum(map(len, groups)),
            size=sum(len(text) for group in groups for text in group),
            tokens=estimate_tokens(groups, self._max_length),
            request_id=request.request_id(),
            timeout_s=request.timeout() / 1e6,
            arrived_s=time.monotonic(),
            work=(read, request.get_response_sender()),
        )

    def _tokenize(self, requests: Sequence[Read]) -> list[Any]:
        """The answer to each request. One at which the tokenizer fails does so alone, and ends no thread."""
        try:
            return [
                invalid(answer)
                if isinstance(answer, InvalidArgument)
                else reply(**{name: answer[name][None] for name in self._tensors})  # (1, ...)
                for answer in self._tokenization.tokenize(requests)
            ]
        except BaseException as error:  # a panic of the tokenizer is no Exception
            if len(requests) == 1:
                return [failed(f"the tokenizer failed: {error}")]
            return [answer for request in requests for answer in self._tokenize([request])]

    def _serve_turns(self) -> None:
        while (turn := self._turns.next(within_s=PERIOD_S)) is not None:
            ready, late = turn
            for job in late:
                self._late.add(lane=job.lane)
                send(
                    job.work[1], unavailable(f"the timeout of {job.timeout_s:g} s was used up while the request waited")
                )
            began_s = time.monotonic()
            for job, response in zip(ready, self._tokenize([job.work[0] for job in ready]), strict=True):
                send(job.work[1], response)
            if ready:
                self._times.add([began_s - job.arrived_s for job in ready], time.monotonic() - began_s)
            if self._each_second.due():
                self._tell()

    def _tell(self) -> None:
        self._times.tell()
        for counter in (self._refused, self._late, self._cancelled):
            counter.tell()

    def finalize(self) -> None:
        """End the thread."""
        self._turns.close()


class _Encoder:
    """What the encode step says of its load, once it has begun to say something and as long as it runs."""

    def __init__(self, model: str, version: str) -> None:
        self._file = page_file(model, version)
        self._page: LoadReader | None = None
        self._has_ended = False
        self._next_look_s = 0.0

    def load(self, lane: str) -> Load | None:
        """None: nothing is known, so that nobody needs to wait; of a process that died Triton will tell them."""
        load = self._page.read(lane) if self._page else None
        if (load is None or load.tokens >= load.room) and time.monotonic() >= self._next_look_s:
            self._look()
        return None if self._has_ended else load

    def _look(self) -> None:
        self._next_look_s = time.monotonic() + LOOK_S
        if self._page is None and self._file.exists():  # not every engine says it
            self._page = LoadReader(self._file)
        self._has_ended = self._page is not None and self._page.has_ended()


def queue_limits(settings: dict[str, Any]) -> QueueLimits:
    """The limits of the settings; an operator may say how many texts."""
    limits = dict(settings["queue"])
    if given := os.environ.get(MAX_QUEUED_TEXTS_VARIABLE):
        limits["max_queued_texts"] = int(given)
    return QueueLimits(**limits)
