"""What several dialects ask of pipelines, with the defaults of names and the refusals that they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from encserve import Answer, Classifications, Embeddings, Ranking
from encserve_gateway.exchange import Exchange
from encserve_gateway.faults import Fault, Kind
from encserve_gateway.pipelines.upstream import Served


async def embed(
    exchange: Exchange,
    served: Served,
    texts: Sequence[str],
    *,
    field: str,
    truncate: str | None = None,
    prompt_name: str | None = None,
    dimensions: int | None = None,
    normalize: bool | None = True,
) -> Embeddings:
    """The vectors of texts, float32 (n, dim), unless one of them is too long and shall not be cut.

    Vectors have length 1 unless a request wants others: the clients of every dialect take that for granted, whatever
    the checkpoint does. An option that is None has the default of the name, then that of the pipeline.

    Args:
        exchange: the request.
        served: what is asked.
        texts: one or more.
        field: what the dialect calls the texts, for messages.
        truncate: "end", "start", or "error" to refuse what is too long.
        prompt_name: one of the pipeline's, or "" for none.
        dimensions: the length of the vectors.
        normalize: whether they have length 1; None as the checkpoint says.

    Raises:
        Fault: the request is refused, or the pipeline did not answer.
    """
    alias = served.alias
    way = truncate or alias.truncate
    options: dict[str, Any] = {
        "priority": exchange.key.lane,
        "truncate": server_truncation(way),
        "prompt_name": alias.prompt_name if prompt_name is None else prompt_name,
        "dimensions": dimensions or alias.dimensions,
        "normalize": normalize,
    }
    call = exchange.services.upstream.client.embed(texts, model=served.pipeline.name, **options)
    answer = await exchange.answer(call)
    refuse_cut(answer, served, way, field=field)
    return answer


async def rank(
    exchange: Exchange,
    served: Served,
    query: str,
    documents: Sequence[str],
    *,
    field: str,
    truncate: str | None = None,
    top_k: int | None = None,
) -> Ranking:
    """The order of documents for a query, best first, and their scores.

    Args:
        exchange: the request.
        served: what is asked.
        query: one text.
        documents: one or more.
        field: what the dialect calls the documents, for messages.
        truncate: "end", "start", or "error" to refuse what is too long.
        top_k: how many documents the answer has; all for 0 or None.

    Raises:
        Fault: the request is refused, or the pipeline did not answer.
    """
    way = truncate or served.alias.truncate
    options: dict[str, Any] = {
        "priority": exchange.key.lane,
        "truncate": server_truncation(way),
        "prompt_name": served.alias.prompt_name,
        "top_k": min(top_k, len(documents)) if top_k else None,
    }
    call = exchange.services.upstream.client.rerank(query, documents, model=served.pipeline.name, **options)
    ranking = await exchange.answer(call)
    refuse_cut(ranking, served, way, field=field)
    return ranking


async def classify(
    exchange: Exchange,
    served: Served,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    *,
    field: str,
    truncate: str | None = None,
    top_k: int | None = None,
) -> Classifications:
    """The labels of texts, or of pairs of texts, highest score first.

    Args:
        exchange: the request.
        served: what is asked.
        texts: one or more.
        pairs: the second text of each, where the pipeline takes pairs.
        field: what the dialect calls the texts, for messages.
        truncate: "end", "start", or "error" to refuse what is too long.
        top_k: how many labels each text gets; all for None.

    Raises:
        Fault: the request is refused, or the pipeline did not answer.
    """
    way = truncate or served.alias.truncate
    options: dict[str, Any] = {"priority": exchange.key.lane, "truncate": server_truncation(way), "top_k": top_k}
    call = exchange.services.upstream.client.classify(texts, text_pairs=pairs, model=served.pipeline.name, **options)
    answer = await exchange.answer(call)
    refuse_cut(answer, served, way, field=field)
    return answer


def server_truncation(way: str | None) -> Any:
    """How the server is to cut where a request says `way`. For "error" it cuts too, and `refuse_cut` refuses: its own
    error would not say in numbers what clients are told in numbers."""
    return None if way == "error" else way


def refuse_cut(answer: Answer, served: Served, way: str | None, *, field: str) -> None:
    """Refuse an answer about less than the whole of its texts, where `way` is "error". Raises Fault: `TOO_LONG`."""
    if way != "error":
        return
    cut = np.flatnonzero(answer.dropped_counts)
    if not len(cut):
        return
    first = int(cut[0])
    given = int(answer.token_counts[first]) + int(answer.dropped_counts[first])
    limit = served.pipeline.max_length
    where = field if len(answer) == 1 else f"{field}[{first}]"
    message = f"{where} has {given} tokens, the limit is {limit}"
    raise Fault(Kind.TOO_LONG, message, param=field, given=given, limit=limit)
