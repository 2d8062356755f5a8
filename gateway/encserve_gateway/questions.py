"""What several dialects ask of pipelines, with the defaults of names and the refusals that they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from encserve import Answer, Embeddings
from encserve_gateway.exchange import Exchange
from encserve_gateway.faults import Fault, Kind
from encserve_gateway.upstream import Served


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
        # "error" would have the server refuse without saying by how much, which clients are told in numbers.
        "truncate": None if way == "error" else way,
        "prompt_name": alias.prompt_name if prompt_name is None else prompt_name,
        "dimensions": dimensions or alias.dimensions,
        "normalize": normalize,
    }
    call = exchange.services.upstream.client.embed(texts, model=served.pipeline.name, **options)
    answer = await exchange.answer(call)
    if not np.isfinite(answer.vectors).all():
        raise Fault(Kind.BROKEN, "a vector is not finite")
    if way == "error":
        refuse_cut(answer, served, field=field)
    return answer


def refuse_cut(answer: Answer, served: Served, *, field: str) -> None:
    """Refuse an answer about less than the whole of its texts. Raises Fault: `TOO_LONG`."""
    cut = np.flatnonzero(answer.dropped_counts)
    if not len(cut):
        return
    first = int(cut[0])
    given = int(answer.token_counts[first]) + int(answer.dropped_counts[first])
    limit = served.pipeline.max_length
    where = field if len(answer) == 1 else f"{field}[{first}]"
    raise Fault(
        Kind.TOO_LONG, f"{where} has {given} tokens, the limit is {limit}", param=field, given=given, limit=limit
    )
