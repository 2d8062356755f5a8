"""The encode step of the local backend: packed token ids in, numbers for each text, token or mask out.

Requests are answered when they are computed, not when `execute` returns: the process can take an interactive request
while it computes others in bulk.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from .batch_times import BatchTimes
from .counters import Counter, Periodically
from .cpu_flags import lacks, read_cpu_flags
from .encode_lane import EncodeLane, Waiting
from .lanes import INTERACTIVE, LANES
from .load_page import LoadWriter, page_file
from .packed_session import PackedSession
from .recent_rows import RecentRows, max_bytes_from
from .replies import failed, reply, send, unavailable
from .request_columns import columns_of
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
    """Runs the texts of all requests of a batch together, sorted by length; each lane has batches of its own."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Load the graph, after checking that it is the certified one."""
        folder = Path(__file__).parent
        settings = read_settings(folder)
        for file, digest in settings["graph_sha256"].items():
            check_sha256(folder / file, digest)
        self._inputs = settings["tensors"]
        self._outputs = list(settings["follows"])
        self._session = PackedSession(
            folder / "model.onnx",
            follows=settings["follows"],
            token_budget=settings["token_budget"],
            runtime=settings["runtime"],
            hints=settings["hints"],
        )
        lacking = lacks(read_cpu_flags(), tuple(settings["fast_on_cpu"]))
        if lacking:
            pb_utils.Logger.log_warn(f"{args['model_name']} is slow here: this processor has no {lacking}")
        self._rows = RecentRows(self._session, max_bytes=max_bytes_from(os.environ))
        self._nonfinite, self._texts, self._repeated, self._batches = (Counter(args, *each) for each in COUNTERS)
        self._computed_batches = 0
        self._times = BatchTimes(args)
        self._each_second = Periodically()
        page = LoadWriter(page_file(args["model_name"], args["model_version"]), instance_of(args))
        self._lanes = {
            lane: EncodeLane(
                lane,
                self.compute,
                partial(page.tell, lane),
                threads=len(os.sched_getaffinity(0)),
                token_budget=settings["token_budget"],
            )
            for lane in LANES
        }

    def execute(self, requests: list[Any]) -> list[Any]:
        """Put each request into its lane, which answers it."""
        now_s = time.monotonic()
        for lane, jobs in self._by_lane(requests, now_s).items():
            self._lanes[lane].put(jobs)
        return [None] * len(requests)

    def _by_lane(self, requests: list[Any], now_s: float) -> dict[str, list[Waiting]]:
        jobs: dict[str, list[Waiting]] = {}
        for request in requests:
            columns = columns_of(_tensors(request, self._inputs))
            job = Waiting(
                columns=columns,
                tokens=sum(map(len, columns["input_ids"])),
                arrived_s=now_s,
                request=request,
                sender=request.get_response_sender(),
            )
            jobs.setdefault(lane_of(request.parameters()), []).append(job)
        return jobs

    def compute(self, batch: Sequence[Waiting], pool: ThreadPoolExecutor) -> int:
        """Answer each request with the rows of its own texts. Those that nobody waits for any more are left out.

        Returns the tokens that were computed.
        """
        began_s = time.monotonic()
        wanted = [job for job in batch if _is_wanted(job)]
        try:
            responses, computed = (
                self.answer([(job.columns, job.request) for job in wanted], pool) if wanted else ([], 0)
            )
        except Exception as error:  # a thread that ended would leave its lane without answers for ever
            responses, computed = [failed(f"the network failed: {error}") for _ in wanted], 0
        for job, response in zip(wanted, responses, strict=True):
            send(job.sender, response)
        if wanted:
            self._computed_batches += 1
            self._times.add([began_s - job.arrived_s for job in wanted], time.monotonic() - began_s)
        if self._each_second.due():
            self._tell()
        return computed

    def answer(
        self, each: Sequence[tuple[dict[str, list[NDArray[Any]]], Any]], pool: ThreadPoolExecutor | None = None
    ) -> tuple[list[Any], int]:
        """Responses to requests, each given with its columns, and the tokens that were computed for them; a row that is
        not finite is never an answer.

        All texts go through the encoder together. A pipeline asks for the output of its own head.
        """
        together = {name: list(chain.from_iterable(columns[name] for columns, _ in each)) for name in each[0][0]}
        asked = [set(request.requested_output_names()) for _, request in each]
        outputs = [output for output in self._outputs if any(output in names for names in asked)]
        if any(wants_fresh(request.parameters()) for _, request in each):
            rows = self._session.run(together, outputs, pool=pool)
            computed = sum(map(len, together["input_ids"]))
        else:
            rows, computed = self._rows.run(together, outputs, pool=pool)  # each (all rows, W)
        responses = []
        ends = dict.fromkeys(outputs, 0)
        for (columns, _), names in zip(each, asked, strict=True):
            own, bad = {}, np.zeros(len(columns["input_ids"]), bool)
            for output in outputs:
                sizes = self._session.rows_of(columns, output)  # (n,)
                begin, ends[output] = ends[output], ends[output] + int(sizes.sum())
                if output in names:
                    own[output] = rows[output][begin : ends[output]]
                    finite = np.isfinite(own[output]).all(axis=1)
                    bad[np.repeat(np.arange(len(sizes)), sizes)[~finite]] = True
            responses.append(self._answer(own, np.flatnonzero(bad)))
        return responses, computed

    def _answer(self, rows: dict[str, NDArray[np.float32]], bad: NDArray[np.intp]) -> Any:
        if len(bad):
            self._nonfinite.increment(len(bad))
            return failed(f"what the network gave for texts {bad.tolist()} of this request holds NaN or infinity")
        return reply(**{output: own[None] for output, own in rows.items()})  # (1, rows, W)

    def _tell(self) -> None:
        self._batches.reach(self._computed_batches)
        self._times.tell()
        self._texts.reach(self._rows.texts)
        self._repeated.reach(self._rows.repeated)

    def finalize(self) -> None:
        """Stop the threads."""
        for lane in self._lanes.values():
            lane.close()
        self._session.close()


def lane_of(parameters: str) -> str:
    """The lane of a request, from its parameters as Triton hands them over; the tokenize step has checked it."""
    lane = json.loads(parameters).get("lane", INTERACTIVE) if parameters else INTERACTIVE
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


def _tensors(request: Any, names: list[str]) -> dict[str, NDArray[np.int64]]:
    """Copies: Triton's own memory is given back when `execute` returns."""
    return {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy()[0].copy() for name in names}
