"""Waiting until every pipeline answers a real request.

Triton's readiness endpoints are not asked: on 2.51 they go on saying "ready" for a model whose process has died.
"""

import socket
import time
from collections.abc import Callable, Sequence

from encserve import Client, PipelineInfo, Retry, Tls, TransportError
from encserve_server.errors import StartFailed
from encserve_server.process import TritonProcess

POLL_S = 0.05
ATTEMPT_TIMEOUT_S = 5.0
FIRST_REPORT_S = 2.0

Probe = Callable[..., None]
"""Asks the pipeline at a gRPC address one question: `probe(grpc_url, pipeline)`, with `tls=` where the server encrypts.

Raises TransportError where it may be asked again.
"""


QUESTIONS: dict[str, Callable[[Client, PipelineInfo, str], object]] = {
    "feature-extraction": lambda client, pipeline, text: client.embed([text], model=pipeline.name),
    "token-embedding": lambda client, pipeline, text: client.embed_tokens([text], model=pipeline.name),
    "sparse-embedding": lambda client, pipeline, text: client.embed_sparse([text], model=pipeline.name),
    "text-classification": lambda client, pipeline, text: client.classify(
        [text], text_pairs=[text] if pipeline.pairs else None, model=pipeline.name
    ),
    "text-ranking": lambda client, pipeline, text: client.rerank(text, [text], model=pipeline.name),
    "token-classification": lambda client, pipeline, text: client.classify_tokens([text], model=pipeline.name),
    "question-answering": lambda client, pipeline, text: client.answer(text, text, model=pipeline.name),
    "fill-mask": lambda client, pipeline, text: client.fill_mask(
        [f"{text} {pipeline.mask_token}"], model=pipeline.name
    ),
    "zero-shot-classification": lambda client, pipeline, text: client.classify_zero_shot(
        [text], ["ready"], model=pipeline.name
    ),
}
"""One question per task, to a pipeline about a text."""


def probe_pipeline(
    grpc_url: str, pipeline: PipelineInfo, *, tls: Tls | None = None, timeout_s: float = ATTEMPT_TIMEOUT_S
) -> None:
    """Ask one question, of the kind that the task of `pipeline` wants, once.

    Raises:
        TransportError: no answer came, for now.
        StartFailed: there is no question for this task.
        EncserveError: the pipeline answered with an error.
    """
    with Client(grpc_url, timeout_s=timeout_s, tls=tls, retry=Retry(attempts=1)) as client:
        ask(client, pipeline)


def ask(client: Client, pipeline: PipelineInfo) -> None:
    """Ask one question with a client that there is. Raises as `probe_pipeline`."""
    if pipeline.task not in QUESTIONS:
        raise StartFailed(
            f"pipeline {pipeline.name} has the task {pipeline.task!r}; this encserve serves {', '.join(QUESTIONS)}"
        )
    # Never the same text: the encode step keeps the rows of recent ones, and the network is what is asked.
    QUESTIONS[pipeline.task](client, pipeline, f"ready {time.time_ns()}")


def wait_until_ready(
    process: TritonProcess,
    pipelines: Sequence[PipelineInfo],
    *,
    address: tuple[str, int],
    timeout_s: float,
    probe: Probe,
    report: Callable[[str], None],
) -> None:
    """Return once every pipeline has answered at the gRPC `address`.

    Raises:
        StartFailed: Triton ended, or `timeout_s` passed.
    """
    waiting = _Waiting(process, timeout_s=timeout_s, report=report)
    while not _accepts(address):  # Triton opens its ports once all models are loaded
        waiting.pause("starting Triton")
    grpc_url = "{}:{}".format(*address)
    for pipeline in pipelines:
        while True:
            try:
                probe(grpc_url, pipeline)
                break
            except TransportError:
                waiting.pause(f"waiting for {pipeline.name}")


class _Waiting:
    def __init__(self, process: TritonProcess, *, timeout_s: float, report: Callable[[str], None]) -> None:
        self._process = process
        self._timeout_s = timeout_s
        self._report = report
        self._started_s = time.monotonic()
        self._next_report_s = FIRST_REPORT_S

    def pause(self, activity: str) -> None:
        waited_s = time.monotonic() - self._started_s
        if not self._process.is_alive:
            raise StartFailed(self._process.describe_end())
        if waited_s > self._timeout_s:
            raise StartFailed(
                f"{activity} took more than --startup-timeout-s {self._timeout_s:g}. Triton's last lines:\n"
                f"{self._process.log.reason()}"
            )
        if waited_s >= self._next_report_s:
            self._report(f"{activity} ... {waited_s:.0f} s")
            self._next_report_s *= 2
        time.sleep(POLL_S)


def _accepts(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=1).close()
    except OSError:
        return False
    return True
