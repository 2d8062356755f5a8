"""Rows of a dataset computed in the worker that has them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from typing import Any

import pyarrow as pa

from encserve import Answer, EncserveError
from encserve.local import Encoder
from encserve_bulk.questions import Text, arguments_of, ask_about, check_task, probe_of

from .batch import Asked, distinct, is_empty

INTERACTIVE = "interactive"
"""The lane: nobody else waits in this process."""
CALLS_AT_ONCE = 2
"""While the last texts of one call are computed, the first of the next are tokenized."""


class LocalPredictor:
    """A class for `Dataset.map_batches` that computes each row in the worker, without a server.

    Each worker loads the pipeline, out of a model repository that its host can read, and checks it against its
    certificate. It takes Arrow tables (`batch_format="pyarrow"`) and adds the columns that `ServerPredictor` adds. Give
    it `num_cpus=N`: the network gets as many cores as Ray gives the worker.

    Args:
        repository: The folder of the model repository.
        model: Name of the pipeline.
        verb: "embed", "embed-sparse", "classify", "classify-tokens" or "rerank".
        text: The column of the texts.
        query: The column of the queries; of `rerank` alone.
        version: One of the pipeline's published versions; without it the one that is active when a worker begins. Give
            it where the repository may change in the meantime.
        options: The keywords of the verb, such as `{"dimensions": 256}`.
        cores: The most cores that the network gets; without it those of the worker.

    Raises:
        InvalidInput: an argument has an impossible value, or the pipeline refuses an option, cannot do the verb, or
            needs Triton.
        EncserveError: the pipeline cannot be loaded; see `encserve.local.Encoder`.
    """

    def __init__(
        self,
        repository: str | PathLike[str],
        model: str,
        *,
        verb: str = "embed",
        text: str = "text",
        query: str | None = None,
        version: int | None = None,
        options: Mapping[str, Any] | None = None,
        cores: int | None = None,
    ) -> None:
        self._asked = Asked(verb=verb, text=text, query=query, options=options or {})
        self._encoder = Encoder(repository, model, version=version, cores=cores or assigned_cores())
        try:
            check_task(self._asked.form, self._encoder.pipeline)
            self._ask(probe_of(self._asked.form))
        except EncserveError:
            self._encoder.close()
            raise
        self._threads = ThreadPoolExecutor(CALLS_AT_ONCE, "encserve-call")

    def __call__(self, table: pa.Table) -> pa.Table:
        """The table with the columns of the answers. Raises EncserveError where the network fails at any text."""
        if is_empty(table):
            return table
        pipeline = self._encoder.pipeline
        batch = self._asked.read(table, pipeline)
        calls = batch.questions.calls
        answers = self._threads.map(lambda texts: ask_about(self._asked.form, texts, self._ask), calls)
        return batch.answered(distinct(calls, list(answers)), pipeline.version)

    def _ask(self, texts: Sequence[Text]) -> Answer:
        verb = getattr(self._encoder, self._asked.form.verb.name)
        answer: Answer = verb(*arguments_of(texts), priority=INTERACTIVE, **self._asked.options)
        return answer


def assigned_cores() -> int | None:
    """The cores that Ray has given this worker; None outside of Ray, and for a worker that was promised none."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return None
    cores = ray.get_runtime_context().get_assigned_resources().get("CPU", 0)
    return max(1, int(cores)) if cores else None
