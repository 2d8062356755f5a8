"""Which prompt of a checkpoint, and which of its adapters, is meant by what clients say about their texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from encserve import PipelineInfo
from encserve_gateway.faults import shown

from .fields import Fields

QUERY = ("query", "search_query", "retrieval.query", "s2p_query")
DOCUMENT = ("document", "passage", "corpus", "search_document", "retrieval.passage")
_CLUSTERING = ("clustering", "separation")

MEANT: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("query", "search_query", "retrieval_query"), QUERY),
    **dict.fromkeys(("document", "passage", "search_document", "retrieval_passage"), DOCUMENT),
}
"""What a client says, plainly -> the prompts that mean it, the first that a checkpoint has."""

_PLAIN = str.maketrans(".-", "__")
_TASKS = {
    name.translate(_PLAIN) for name in (*QUERY, *DOCUMENT, *_CLUSTERING, "classification", "text-matching", "retrieval")
}
"""Names of adapters that are trained for a task, and not for a customer or a domain."""


@dataclass(frozen=True)
class Meant:
    """What a request asks a pipeline of vectors for."""

    prompt_name: str | None = None
    """The name of a prompt, "" for none; None says nothing of it, so that an adapter's own prompt stays."""
    adapter: str | None = None
    """The name of an adapter; None says nothing of it."""


def read_meant(fields: Fields, pipeline: PipelineInfo, *names: str) -> Meant:
    """What the first of the fields `names` that says something means, such as "search_query" or "text-matching".

    Names are compared plainly: `retrieval_query` and `RETRIEVAL-QUERY` are `retrieval.query`. Where there is no such
    prompt it is "", none: Cohere's SDK always says something, and most encoders have no prompts. The checkpoint's
    default does not take its place, as it may be the prompt of the other side. With an adapter it is None, as that may
    have a prompt of its own.

    Raises:
        Fault: the pipeline has adapters for tasks, and what is said is none of them, and no prompt.
    """
    name = next((each for each in names if fields.text(each)), names[-1])
    said = fields.text(name)
    if said is None:
        return Meant()
    meant = MEANT.get(_plain(said), (said,))
    prompt = _first(meant, pipeline.prompt_names)
    adapter = _first(_CLUSTERING if _plain(said) in _CLUSTERING else meant, pipeline.adapters)
    if adapter is not None:
        return Meant(prompt, adapter)
    if said and prompt is None and any(_plain(each) in _TASKS for each in pipeline.adapters):
        there = ", ".join(dict.fromkeys((*pipeline.adapters, *pipeline.prompt_names)))
        raise fields.wrong(name, f"is {shown(said)}, this model has {there}")
    return Meant(prompt or "")


def _first(meant: Sequence[str], offered: Sequence[str]) -> str | None:
    """The first of `meant` that is offered, as it is written there."""
    by_plain = {_plain(name): name for name in offered} | {name: name for name in offered}
    return next((by_plain[each] for name in meant for each in (name, _plain(name)) if each in by_plain), None)


def _plain(name: str) -> str:
    return name.lower().translate(_PLAIN)
