"""Which prompt of a checkpoint, and which of its adapters, is meant by what clients say about their texts."""

from __future__ import annotations

from collections.abc import Sequence

QUERY = ("query", "search_query", "retrieval.query", "s2p_query")
DOCUMENT = ("document", "passage", "corpus", "search_document", "retrieval.passage")

MEANT: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("query", "search_query", "retrieval.query"), QUERY),
    **dict.fromkeys(("document", "passage", "search_document", "retrieval.passage"), DOCUMENT),
}
"""What a client says -> the prompts that mean it, the first that a checkpoint has."""


_CLUSTERING = ("clustering", "separation")
_PLAIN = str.maketrans(".-", "__")


def adapter_for(said: str | None, adapters: Sequence[str]) -> str | None:
    """The adapter for `said`, such as "search_query" or "text-matching": the adapter of the prompt that it means, or of
    its own name, however both write it; None where there is none, or nothing was said."""
    if said is None:
        return None
    plain = {name.lower().translate(_PLAIN): name for name in adapters}
    meant = _CLUSTERING if said in _CLUSTERING else MEANT.get(said, (said,))
    return next((plain[each] for name in meant if (each := name.lower().translate(_PLAIN)) in plain), None)


def prompt_for(said: str | None, prompt_names: Sequence[str]) -> str | None:
    """The name of the prompt for `said`, such as "search_query"; None where nothing was said.

    Without such a prompt it is "", none: Cohere's SDK always says something, and most encoders have no prompts. The
    checkpoint's default does not take its place, as it may be the prompt of the other side.
    """
    if said is None:
        return None
    return next((name for name in MEANT.get(said, (said,)) if name in prompt_names), "")
