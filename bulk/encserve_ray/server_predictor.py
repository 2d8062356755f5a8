"""Rows of a dataset asked of servers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from encserve import Answer, AsyncClient, EncserveError, PipelineInfo, Tls
from encserve._conversation.settings import CONCURRENCY
from encserve._transport.addresses import DEFAULT_URL
from encserve._transport.seam import AsyncTransport
from encserve_bulk.questions import Row, Text, arguments_of, check_task, probe_of, rows_about

from .batch import Asked, Version, distinct, is_empty

TIMEOUT_S = 600.0


class ServerPredictor:
    """A class for `Dataset.map_batches` that asks servers about each row, in the lane `bulk`.

    It waits for most of its time, so give it `num_cpus=0`; it takes Arrow tables (`batch_format="pyarrow"`) and adds
    the columns of the verb, `token_count`, `dropped_count`, `error` and `version`. A text that cannot be answered is a
    row with an `error`; a server that is down or full is asked again until `timeout_s` has passed.

    Args:
        model: Name of the pipeline.
        url: "host:port" of the server's gRPC endpoint, or a list of replicas; see `encserve.Client`.
        verb: "embed", "embed-sparse", "classify", "classify-tokens" or "rerank".
        text: The column of the texts.
        query: The column of the queries; of `rerank` alone.
        version: The version that must answer; without it the first that answers a worker. Workers that begin before and
            after a promotion may meet two then, which the column `version` tells.
        options: The keywords of the verb, such as `{"dimensions": 256}`.
        concurrency: Requests that a worker has in flight.
        timeout_s: Seconds for each request, with its retries.
        tls: How to encrypt the connection; without it, it is plain.
        api_key: Of a gateway before the server.
        transport: What makes the connection in place of gRPC, for tests: it is called with nothing, in each worker.

    Raises:
        InvalidInput: an argument has an impossible value.
    """

    def __init__(
        self,
        model: str,
        url: str | Sequence[str] = DEFAULT_URL,
        *,
        verb: str = "embed",
        text: str = "text",
        query: str | None = None,
        version: int | str | None = None,
        options: Mapping[str, Any] | None = None,
        concurrency: int = CONCURRENCY,
        timeout_s: float = TIMEOUT_S,
        tls: Tls | None = None,
        api_key: str | None = None,
        transport: Any = None,
    ) -> None:
        self._asked = Asked(verb=verb, text=text, query=query, options=options or {})
        self._model = model
        self._version = Version(version)
        self._url = url
        self._settings: dict[str, Any] = {
            "concurrency": concurrency,
            "timeout_s": timeout_s,
            "tls": tls,
            "api_key": api_key,
        }
        self._transport = transport
        self._client: AsyncClient | None = None
        self._pipeline: PipelineInfo | None = None

    async def __call__(self, table: pa.Table) -> pa.Table:
        """The table with the columns of the answers.

        Raises:
            InvalidInput: a column is missing or taken, or the pipeline refuses an option, or cannot do the verb.
            EncserveError: the server cannot be asked, or another version answers.
        """
        if is_empty(table):
            return table
        client = self._connected()
        if self._pipeline is None:
            pipeline = await client.pipeline(self._model)
            check_task(self._asked.form, pipeline)
            await self._ask(client, probe_of(self._asked.form))
            self._pipeline = pipeline
        batch = self._asked.read(table, self._pipeline)
        calls = batch.questions.calls
        answers = await asyncio.gather(*(self._rows(client, texts) for texts in calls))
        return batch.answered(distinct(calls, answers), self._version.number)

    def _connected(self) -> AsyncClient:
        """The client, which belongs to the event loop that calls."""
        if self._client is None:
            transport: AsyncTransport | None = self._transport() if self._transport else None
            self._client = AsyncClient(self._url, transport=transport, **self._settings)
        return self._client

    async def _rows(self, client: AsyncClient, texts: Sequence[Text]) -> list[Row]:
        asking = rows_about(self._asked.form, texts)
        try:
            wanted = next(asking)
            while True:
                try:
                    answer = await self._ask(client, wanted)
                except EncserveError as error:
                    wanted = asking.throw(error)
                else:
                    wanted = asking.send(answer)
        except StopIteration as done:
            rows: list[Row] = done.value
            return rows

    async def _ask(self, client: AsyncClient, texts: Sequence[Text]) -> Answer:
        verb = getattr(client, self._asked.form.verb.name)
        answer: Answer = await verb(*arguments_of(texts), model=self._model, priority="bulk", **self._asked.options)
        self._version.check(answer.version, self._model)
        return answer
