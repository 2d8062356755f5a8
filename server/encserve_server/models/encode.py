"""The encode step of the local backend: packed token ids in, numbers for each text, token or mask out.

Requests are answered when they are computed, not when `execute` returns: the process can take an interactive request
while it computes others in bulk.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter as Counts
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from .batch_times import BatchTimes
from .cores import usable_cores
from .counters import Counter, Periodically
from .cpu_flags import lacks, read_cpu_flags
from .encode_batch import MicroBatch, Question, Rows, cut
from .encode_lane import EncodeLane, Waiting
from .lanes import INTERACTIVE, LANES
from .load_page import LoadWriter, page_file
from .lone_threads import lone_threads
from .micro_batches import Cost
from .options import InvalidArgument
from .packed_session import PackedSession
from .recent_rows import RecentRows, max_bytes_from
from .replies import failed, invalid, reply, send, unavailable
from .request_bounds import Bounds
from .request_columns import columns_of
from .request_tensors import tensor_of
from .step_settings import check_sha256, instance_of, read_settings

COUNTERS = (
    (
        "encserve_nonfinite_texts",
        "Texts answered with an error because what the network gave for them held NaN or infinity",
    ),
    ("encserve_encoded_texts", "Texts that the encode step answered"),
    ("encserve_repeated_texts", "Those of them that it had computed a moment before, or beside the same text"),
    ("encserve_batches", "Batches of requests that the encode step computed"),
)


class TritonPythonModel:
    """Runs the texts of all requests that wait together, sorted by length; each lane has threads of its own."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Load the graph, after checking that it is the certified one."""
        folder = Path(__file__).parent
        settings = read_settings(folder)
        for file, digest in settings["graph_sha256"].items():
            check_sha256(folder / file, digest)
        self._inputs = settings["tensors"]
        self._outputs = list(settings["follows"])
        self._bounds = Bounds(**settings["bounds"])
        self._threads = usable_cores()
        graph_bytes = sum((folder / file).stat().st_size for file in settings["graph_sha256"])
        self._session = PackedSession(
            folder / "model.onnx",
            follows=settings["follows"],
            token_budget=settings["token_budget"],
            cost=Cost(**settings["micro_batch_cost"]),
            runtime=settings["runtime"],
            hints=settings["hints"],
            threads=self._threads,
            lone_threads=lone_threads(os.environ, graph_bytes, self._threads),
        )
        lacking = lacks(read_cpu_flags(), tuple(settings["fast_on_cpu"]))
        if lacking:
            pb_utils.Logger.log_warn(f"{args['model_name']} is slow here: this processor has no {lacking}")
        self._recent = RecentRows(max_bytes=max_bytes_from(os.environ))
        self._nonfinite, self._texts, self._repeated, self._batches = (Counter(args, *each) for each in COUNTERS)
        self._counts: Counts[str] = Counts()
        self._counting = threading.Lock()
        self._times = BatchTimes(args)
        self._each_second = Periodically()
        page = LoadWriter(page_file(args["model_name"], args["model_version"]), instance_of(args))
        self._lanes = {
            lane: EncodeLane(
                lane,
                partial(self.cut, lane),
                partial(page.tell, lane),
                threads=self._threads,
                token_budget=settings["token_budget"],
            )
            for lane in LANES
        }

    def execute(self, requests: list[Any]) -> list[Any]:
        """Put each request into its lane, which answers it; a wrong request fails alone."""
        now_s = time.monotonic()
        responses: list[Any] = [None] * len(requests)
        jobs: dict[str, list[Waiting]] = {lane: [] for lane in LANES}
        for index, request in enumerate(requests):
            try:
                jobs[lane_of(request.parameters())].append(self._waiting(request, now_s))
            except InvalidArgument as error:
                responses[index] = invalid(error)
        for lane, waiting in jobs.items():
            if waiting:
                self._lanes[lane].put(waiting)
        return responses

    def _waiting(self, request: Any, now_s: float) -> Waiting:
        tensors = {name: tensor_of(request, name).copy() for name in self._inputs}
        self._bounds.check(tensors)
        return Waiting(
            columns=columns_of(tensors),
            tokens=len(tensors["input_ids"]),
            arrived_s=now_s,
            request=request,
            sender=request.get_response_sender(),
        )

    def cut(self, lane: str, jobs: Sequence[Waiting], workers: int) -> list[MicroBatch]:
        """Cut the texts of requests into micro-batches; each request will be answered with the rows of its own texts.
        Those that nobody waits for any more are left out."""
        questions = [question for job in jobs if (question := self._question(job))]
        try:
            batches = cut(
                questions,
                self._session,
                self._recent,
                lane=lane,
                workers=workers,
                alone=lane == INTERACTIVE and workers == self._threads,  # bulk must be able to make way
            )
        except Exception as error:  # a thread that ended would be missing for ever
            batches = []
            for question in questions:
                question.answer(error)
        with self._counting:
            texts = sum(len(question.columns["input_ids"]) for question in questions)
            self._counts += Counts(
                batches=int(bool(questions)), texts=texts, repeated=texts - sum(batch.texts for batch in batches)
            )
            if self._each_second.due():
                self._tell()
        return batches

    def _question(self, job: Waiting) -> Question | None:
        """What a request asks: a pipeline asks for the output of its own head. None: nothing any more."""
        try:
            if not _is_wanted(job):
                return None
            asked = set(job.request.requested_output_names())
            return Question(
                columns=job.columns,
                outputs=tuple(output for output in self._outputs if output in asked),
                fresh=wants_fresh(job.request.parameters()),
                answer=partial(self._answer, job, time.monotonic()),
            )
        except Exception as error:  # a thread that ended would be missing for ever
            send(job.sender, failed(f"the request could not be read: {error}"))
            return None

    def _answer(self, job: Waiting, began_s: float, rows: Rows | Exception) -> None:
        try:
            response = self._response(job, rows)
        except Exception as error:  # a thread that ended would be missing for ever
            response = failed(f"the answer could not be made: {error}")
        send(job.sender, response)
        self._times.add([began_s - job.arrived_s], time.monotonic() - began_s)

    def _response(self, job: Waiting, rows: Rows | Exception) -> Any:
        """A row that is not finite is never an answer."""
        if isinstance(rows, Exception):
            return failed(f"the network failed: {rows}")
        if bad := self._texts_of_nonfinite(job, rows):
            self._nonfinite.increment(len(bad))
            return failed(f"what the network gave for texts {bad} of this request holds NaN or infinity")
        return reply(**{output: own[None] for output, own in rows.items()})  # (1, rows, W)

    def _texts_of_nonfinite(self, job: Waiting, rows: Rows) -> list[int]:
        bad = np.zeros(len(job.columns["input_ids"]), bool)
        for output, own in rows.items():
            finite = np.isfinite(own).all(axis=1)
            if not finite.all():
                sizes = self._session.rows_of(job.columns, output)  # (n,)
                bad[np.repeat(np.arange(len(sizes)), sizes)[~finite]] = True
        return [index for index, is_bad in enumerate(bad.tolist()) if is_bad]

    def _tell(self) -> None:
        self._times.tell()
        self._batches.reach(self._counts["batches"])
        self._texts.reach(self._counts["texts"])
        self._repeated.reach(self._counts["repeated"])

    def finalize(self) -> None:
        """Stop the threads."""
        for lane in self._lanes.values():
            lane.close()
        self._session.close()


def lane_of(parameters: str) -> str:
    """The lane of a request, from its parameters as Triton hands them over. Raises InvalidArgument."""
    lane = json.loads(parameters).get("lane", INTERACTIVE) if parameters else INTERACTIVE
    if lane not in LANES:
        raise InvalidArgument(f"option lane is {lane!r}; {' or '.join(LANES)} is expected")
    return str(lane)


def wants_fresh(parameters: str) -> bool:
    """Whether a request wants what the network gives now, and no rows that were kept: `encserve verify` does, of this
    step alone."""
    return bool(parameters) and json.loads(parameters).get("fresh") is True


def _is_wanted(job: Waiting) -> bool:
    """Whether somebody waits for the answer; if not, say so to the server, which forgets the request then."""
    timeout_s = job.request.timeout() / 1e6
    if job.request.is_cancelled() or 0 < timeout_s < time.monotonic() - job.arrived_s:
        send(job.sender, unavailable("the request was cancelled, or its timeout passed, before it was computed"))
        return False
    return True
