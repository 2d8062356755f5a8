"""The encode step of engine `python` in Triton: packed token ids in, numbers for each text, token or mask out.

`encoder` computes; this is what stands between it and Triton. Requests are answered when they are computed, not when
`execute` returns: the process can take an interactive request while it computes others in bulk.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import triton_python_backend_utils as pb_utils

from ..instance.batch_times import BatchTimes
from ..instance.failures import Failures
from ..instance.lanes import INTERACTIVE, LANES
from ..instance.load_page import Load, LoadWriter, page_file
from ..instance.metrics import Counter, Metrics
from ..instance.settings import instance_of, read_settings, version_folder
from ..request.call import Call
from ..request.options import InvalidArgument
from ..request.replies import failed, reply, unavailable
from ..trace.tracing import open_tracing
from .encode_trace import EncodeTrace, encode_trace
from .encoder import Counted, Encoder
from .host.heap import settle_heap
from .request import EncodeRequest, NonFiniteRows, Rows
from .served_files import PLACE, ServedFiles
from .shared.shared_rows import EVENTS


class TritonPythonModel:
    """Takes requests from Triton, puts each into its lane, and sends what the encoder answers."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Load the graph, after checking that it is the certified one."""
        self._args = args
        self._metrics = Metrics(args)
        self._failures = Failures(args["model_name"], self._metrics, sees_texts=False)
        self._failures.expect("begin", "network", PLACE, *(f"lane {lane}" for lane in LANES))
        self._count(self._metrics)
        self._tracing = open_tracing(args, step="_encode", metrics=self._metrics, failures=self._failures)
        folder = version_folder(args)
        # Before the encoder compares them with the certificate, so that no change after that is missed; what is wrong
        # with the settings it says itself.
        digests = read_settings(folder).get("graph_sha256", {})
        self._served = ServedFiles(folder, digests, self._failures.report)
        self._metrics.add(self._served)
        self._encoder = Encoder(
            folder,
            publish=self._publish,
            count=self._count_batch,
            count_shared=self._count_shared,
            warn=self._failures.warn,
            report=self._failures.report,
        )
        settle_heap()
        if self._encoder.shared is not None:
            for event in EVENTS:
                self._count_shared(event, 0)
        if self._encoder.slow_here:
            pb_utils.Logger.log_warn(f"{args['model_name']} is slow here: {self._encoder.slow_here}")
        self._metrics.work(self._encoder.load)
        self._metrics.start(self._failures.report)

    def _count(self, metrics: Metrics) -> None:
        self._nonfinite = metrics.counter(
            "encserve_nonfinite_texts",
            "Texts answered with an error because what the network gave for them held NaN or infinity",
        )
        self._texts = metrics.counter("encserve_encoded_texts", "Texts that the encode step answered")
        self._repeated = metrics.counter(
            "encserve_repeated_texts", "Those of them that it had computed a moment before, or beside the same text"
        )
        self._batches = metrics.counter("encserve_batches", "Batches of requests that the encode step computed")
        self._micro_batches = metrics.counter("encserve_micro_batches", "Runs of the network, each of packed texts")
        self._tokens = metrics.counter("encserve_computed_tokens", "Tokens that the network computed")
        for counter in (
            *(self._nonfinite, self._texts, self._repeated),
            *(self._batches, self._micro_batches, self._tokens),
        ):
            counter.expect()
        self._times = BatchTimes(metrics)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Put each request into its lane, which answers it; a wrong request fails alone."""
        calls = [EncodeCall(each, self._failures, times=self._times, nonfinite=self._nonfinite) for each in requests]
        waiting: dict[str, list[tuple[EncodeCall, EncodeRequest]]] = {lane: [] for lane in LANES}
        for call in calls:
            if self._tracing:
                call.trace = call.watch = encode_trace(self._tracing, call)
            with call.guarded():
                lane, request = lane_of(call.parameters), self._request(call)
                if call.watch:
                    call.watch.lane, call.watch.texts = lane, request.texts
                call.keep()
                waiting[lane].append((call, request))
        for lane, together in waiting.items():
            try:
                if together:
                    self._encoder.put(lane, [request for _, request in together])
            except BaseException as error:
                self._failures.report("execute", error)
                for call, _ in together:
                    call.give_up(error)
        return [call.response for call in calls]

    def _request(self, call: EncodeCall) -> EncodeRequest:
        asked = call.outputs
        offered = [output for output in self._encoder.outputs if output in asked]
        chosen = self._encoder.choice.of(offered, call.parameters)
        call.none = chosen.none
        return self._encoder.request(
            {name: call.tensor(name).copy() for name in self._encoder.inputs},
            outputs=chosen.outputs,
            fresh=wants_fresh(call.parameters),
            begin=call.begin,
            answer=call.answer_rows,
            watch=call.watch,
        )

    @cached_property
    def _page(self) -> LoadWriter:
        """Return the writer of the load page, made when there is something to publish: a page says that the network is
        loaded."""
        return LoadWriter(page_file(self._args["model_name"], self._args["model_version"]), instance_of(self._args))

    def _publish(self, lane: str, load: Load) -> None:
        self._page.publish(lane, load)

    def _count_batch(self, counted: Counted) -> None:
        self._batches.add()
        self._texts.add(counted.texts)
        self._repeated.add(counted.repeated)
        self._micro_batches.add(counted.micro_batches)
        self._tokens.add(counted.tokens)

    @cached_property
    def _shared(self) -> Counter:
        """Return the counter of what servers share, made where they share something."""
        return self._metrics.counter(
            "encserve_shared_rows", "What happened with the rows that several servers share, by event"
        )

    def _count_shared(self, event: str, number: int) -> None:
        self._shared.add(number, event=event.replace(" ", "_"))

    def finalize(self) -> None:
        """Compute the requests that wait, and end the threads."""
        self._encoder.close()
        if self._tracing:
            self._tracing.close()
        self._metrics.close()
        self._served.close()


class EncodeCall(Call):
    """A call of the encode step. `begin` and `answer_rows` raise nothing: they run on threads that serve others too."""

    def __init__(self, request: Any, failures: Failures, *, times: BatchTimes, nonfinite: Counter) -> None:
        super().__init__(request, failures)
        self._times = times
        self._nonfinite = nonfinite
        self._began_s = self.arrived_s
        self.none: Rows = {}
        """The outputs that its caller does without, each without rows."""
        self.watch: EncodeTrace | None = None
        """Its trace, where it has one."""

    def begin(self) -> bool:
        """Return whether somebody waits for the answer; if not, say so to the server, which forgets the request
        then."""
        self._began_s = time.monotonic()
        if self.watch:
            self.watch.began_s = self._began_s
        with self.guarded("begin"):
            if not self.is_given_up() and not 0 < self.timeout_s < self._began_s - self.arrived_s:
                return True
            self.answer(unavailable("the request was cancelled, or its timeout passed, before it was computed"))
        return False

    def answer_rows(self, rows: Rows | Exception) -> None:
        """Send the rows, or the error of the request."""
        with self.guarded("answer"):
            self.answer(self._response(rows))
            self._times.add([self._began_s - self.arrived_s], time.monotonic() - self._began_s)

    def _response(self, rows: Rows | Exception) -> Any:
        if isinstance(rows, NonFiniteRows):
            self._nonfinite.add(len(rows.texts))
            return failed(str(rows))
        if isinstance(rows, Exception):
            self.report("network", rows)
            return failed(f"the network failed: {rows}")
        return reply(**{output: own[None] for output, own in {**self.none, **rows}.items()})  # (1, rows, W)


def lane_of(parameters: Mapping[str, Any]) -> str:
    """Return the lane of a request. Raises InvalidArgument."""
    lane = parameters.get("lane", INTERACTIVE)
    if lane not in LANES:
        raise InvalidArgument(f"option lane is {lane!r}; {' or '.join(LANES)} is expected")
    return str(lane)


def wants_fresh(parameters: Mapping[str, Any]) -> bool:
    """Return whether a request wants what the network computes now, and no rows that were kept: `encserve verify` does,
    of this step alone."""
    return parameters.get("fresh") is True
