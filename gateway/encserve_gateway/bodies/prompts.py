"""Which prompt of a checkpoint is meant by what clients say about their texts."""

from __future__ import annotations

from collections.abc import Sequence

QUERY = ("query", "search_query", "retrieval.query", "s2p_query")
DOCUMENT = ("document", "passage", "corpus", "search_document", "retrieval.passage")

MEANT: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("query", "search_query", "retrieval.query"), QUERY),
    **dict.fromkeys(("document", "passage", "search_document", "retrieval.passage"), DOCUMENT),
}
"""What a client says -> the prompts that mean it, the first that a checkpoint has."""


def prompt_for(said: str | None, prompt_names: Sequence[str]) -> str | None:
    """The name of the prompt for `said`, such as "search_query"; None where nothing was said.

    Without such a prompt it is "", none: Cohere's SDK always says something, and most encoders have no prompts. The
    checkpoint's default does not take its place, as it may be the prompt of the other side.
    """
    if said is None:
        return None
    return next((name for name in MEANT.get(said, (said,)) if name in prompt_names), "")
