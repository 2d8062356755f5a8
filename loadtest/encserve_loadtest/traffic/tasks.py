"""How each task is asked of the SDK. A task that the SDK learns becomes loadable, and plannable, with one entry."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from encserve import AsyncClient, Client, InvalidInput


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task of the SDK."""

    name: str
    """What the SDK calls it."""
    ask: Callable[..., Any]
    """(client, texts, **options) -> its answer, which has `token_counts`; with an `AsyncClient` the awaitable of it."""

    to_count: Mapping[str, Any] = field(default_factory=dict)
    """Options with which texts are asked for where only their tokens are counted."""
    makes_texts: bool = False
    """Whether the answer is text, of some length, which may come piece by piece."""

    def call(self, client: Client | AsyncClient, texts: Sequence[str], **options: Any) -> Any:
        """What `ask` gives, of the active version: a share of the calls to a candidate would be measured with it."""
        return self.ask(client, texts, version="active", **options)


QUERY = "how does it work?"
"""What documents are ranked for."""

TASKS: Mapping[str, Task] = {
    "feature-extraction": Task(name="embed", ask=lambda client, texts, **options: client.embed(texts, **options)),
    "text-classification": Task(
        name="classify", ask=lambda client, texts, **options: client.classify(texts, **options)
    ),
    "text-ranking": Task(name="rerank", ask=lambda client, texts, **options: client.rerank(QUERY, texts, **options)),
    "late-interaction": Task(
        name="rerank", ask=lambda client, texts, **options: client.rerank(QUERY, texts, **options)
    ),
    "token-classification": Task(
        name="classify_tokens", ask=lambda client, texts, **options: client.classify_tokens(texts, **options)
    ),
    "text2text-generation": Task(
        name="generate",
        ask=lambda client, texts, **options: client.generate(texts, **options),
        to_count={"max_new_tokens": 1},
        makes_texts=True,
    ),
    "token-embedding": Task(
        name="embed_tokens", ask=lambda client, texts, **options: client.embed_tokens(texts, **options)
    ),
    "sparse-embedding": Task(
        name="embed_sparse", ask=lambda client, texts, **options: client.embed_sparse(texts, **options)
    ),
    "hybrid-embedding": Task(
        name="embed_hybrid", ask=lambda client, texts, **options: client.embed_hybrid(texts, **options)
    ),
}
"""Task of a pipeline, in Hugging Face's words -> how to ask for it: of those for which one text is enough to ask."""


def task_of(pipeline_task: str, *, model: str) -> Task:
    """The task of a pipeline.

    Raises:
        InvalidInput: the SDK has no such task.
    """
    if pipeline_task not in TASKS:
        raise InvalidInput(f"{model!r} is for {pipeline_task}; the planner loads {', '.join(TASKS)}", model=model)
    return TASKS[pipeline_task]
