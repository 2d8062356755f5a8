"""The encode step of engine `python` without its server: a version folder in, rows for packed requests out.

It is all of the step that decides about numbers: which runtime with which options, how texts are cut into
micro-batches, which thread computes them, when a single text has all cores. In Triton `step` drives it, and
when a pipeline is certified the exporter does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..instance.lanes import INTERACTIVE, LANES
from ..instance.load_page import Load
from ..instance.loops import Report, print_fault
from ..instance.settings import check_sha256, read_settings
from .batch import Cutter, MicroBatch
from .bounds import Bounds
from .choice import OutputChoice
from .columns import columns_of
from .host.cores import usable_cores
from .host.cpu_flags import read_cpu_flags
from .host.requirements import HostRequirements, check_host, this_process
from .lane import EncodeLane, LaneSize
from .network.intra_op_threads import copied_bytes, intra_op_threads
from .network.loading import load_network
from .network.micro_batches import Cost
from .network.packed_session import PackedSession
from .recent_rows import RecentRows, max_bytes_from
from .request import EncodeRequest
from .shared.graph_name import graph_name
from .shared.settings import shared_settings
from .shared.shared_rows import SharedRows, Warn, print_warning


@dataclass(frozen=True)
class Counted:
    """What a batch of requests came to."""

    texts: int
    """Texts that were asked for."""
    repeated: int
    """Those of them that needed no computing."""
    micro_batches: int
    """Micro-batches into which the others were cut."""
    tokens: int
    """Tokens of these."""


class Encoder:
    """The network of one version, with two lanes of threads. A context manager that any number of threads may use.

    Args:
        folder: The version folder, which holds the graph and the settings beside it.
        publish: Takes the load of a lane whenever that changes.
        count: Takes what each batch came to.
        count_shared: Takes what happened with the rows that servers share, one of `shared_rows.EVENTS`, and how often.
        warn: Takes a sentence for the operator, such as why the cache that servers share is left alone.
        report: Takes what goes wrong in a thread by a fault of ours.
        environment: The environment in which an operator sets `intra_op_threads.SETTING`, `recent_rows.SETTING` and
            what `shared.settings` names.
        cores: The most cores that it uses of those that the process may use; None for all of them.

    Raises:
        RuntimeError: This host lacks what the version requires.
        ValueError: A file is not the certified one, the environment sets something to a value that it cannot have, or
            another release of encserve wrote the settings.
    """

    def __init__(
        self,
        folder: Path,
        *,
        publish: Callable[[str, Load], None] = lambda lane, load: None,
        count: Callable[[Counted], None] = lambda counted: None,
        count_shared: Callable[[str, int], None] = lambda event, number: None,
        warn: Warn = print_warning,
        report: Report = print_fault,
        environment: Mapping[str, str] = os.environ,
        cores: int | None = None,
    ) -> None:
        settings = read_settings(folder)
        requirements = HostRequirements.of(settings)
        check_host(requirements, this_process(requirements))
        self.slow_here = requirements.slow_on(read_cpu_flags())
        """Why the step is slow on this processor, as a sentence; empty if it is not."""
        for file, digest in settings["graph_sha256"].items():
            check_sha256(folder / file, digest)
        self.inputs: tuple[str, ...] = tuple(settings["tensors"])
        self.outputs: tuple[str, ...] = tuple(settings["follows"])
        self.choice = OutputChoice.from_settings(settings)
        """What a request may do without."""
        self._bounds = Bounds(**settings["bounds"])
        self._count = count
        recent = RecentRows(max_bytes=max_bytes_from(environment))
        shared = shared_settings(environment)
        self.shared = (
            SharedRows(shared, graph_name(settings), count=count_shared, warn=warn, report=report)
            if shared is not None
            else None
        )
        """The rows that servers share; None where the environment names no cache."""
        self._threads = min(usable_cores(), cores or usable_cores())
        threads = intra_op_threads(environment, copied_bytes(folder, settings), self._threads)
        load = partial(load_network, settings["runtime"], folder / "model.onnx", settings["hints"])
        session = PackedSession(
            load(side_by_side=self._threads),
            follows=settings["follows"],
            token_budget=settings["token_budget"],
            cost=Cost(**settings["micro_batch_cost"]),
            intra_op=load(side_by_side=1, threads=threads) if threads > 1 else None,
        )
        size = LaneSize(threads=self._threads, token_budget=settings["token_budget"])
        self._lanes = {
            lane: EncodeLane(
                lane,
                partial(self._cut, Cutter(session, recent, lane, self.shared)),
                partial(publish, lane),
                size=size,
                report=report,
            )
            for lane in LANES
        }

    def request(self, tensors: Mapping[str, NDArray[np.int64]], **given: Any) -> EncodeRequest:
        """Return a request made of its packed `tensors`, by the names of the inputs; `given` are the other fields of
        `EncodeRequest`.

        Raises:
            InvalidArgument: the network cannot take the tensors.
        """
        self._bounds.check(tensors)
        return EncodeRequest(columns=columns_of(tensors), **given)

    def put(self, lane: str, requests: Sequence[EncodeRequest]) -> None:
        """Let requests wait together in a lane; each is answered on one of the threads of that lane. One without texts
        waits for nobody, and is answered at once."""
        for request in requests:
            if not request.texts and request.begin():
                columns = self._bounds.columns_of_none or {}
                request.answer({output: np.empty((0, columns[output]), np.float32) for output in request.outputs})
        self._lanes[lane].put([request for request in requests if request.texts])

    def load(self, lane: str) -> Load:
        """Return the load of a lane: the tokens that it has, and how fast it last computed."""
        return self._lanes[lane].load

    def close(self) -> None:
        """Compute the requests that wait, and end the threads."""
        for lane in self._lanes.values():
            lane.close()
        if self.shared is not None:
            self.shared.close()

    def __enter__(self) -> Encoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _cut(self, cutter: Cutter, waiting: Sequence[EncodeRequest], workers: int) -> list[MicroBatch]:
        """Return the micro-batches into which the texts of requests are cut; each request will be answered with the
        rows of its own texts. Requests that nobody waits for any more are left out."""
        requests = [request for request in waiting if request.begin()]
        all_cores = cutter.lane == INTERACTIVE and workers == self._threads  # bulk must be able to make way
        batches = cutter.cut(requests, workers=workers, all_cores=all_cores)
        try:
            if requests:
                texts = sum(request.texts for request in requests)
                repeated = texts - sum(batch.texts for batch in batches)
                self._count(Counted(texts, repeated, len(batches), sum(batch.tokens for batch in batches)))
        except BaseException as error:
            for batch in batches:
                batch.give_up(error)
            raise
        return batches
