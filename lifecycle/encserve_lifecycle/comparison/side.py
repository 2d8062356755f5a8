"""One of the two pipelines, and what it answers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from encserve import Classifications, Client, Embeddings, PipelineInfo


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The vectors of texts, and what they cost."""

    answer: Embeddings
    took_s: float

    @property
    def tokens(self) -> int:
        """Tokens that the network saw."""
        return int(self.answer.token_counts.sum())


@dataclass(frozen=True, kw_only=True)
class Side:
    """A pipeline of a server, and the client that asks it."""

    role: str
    """`old` or `new`."""
    client: Client
    pipeline: PipelineInfo

    @classmethod
    def of(cls, role: str, client: Client, name: str) -> Side:
        """Ask the server about the pipeline.

        Raises:
            ModelNotFound: it does not serve it.
        """
        return cls(role=role, client=client, pipeline=client.pipeline(name))

    @property
    def title(self) -> str:
        """The name in pages, with its precision."""
        return f"{self.pipeline.name} ({self.pipeline.precision})"

    def embed(self, texts: Sequence[str], prompt_name: str) -> Asked:
        """The vectors of texts, in bulk; with the prompt of that name where the checkpoint has it."""
        begun = time.monotonic()
        known = prompt_name in self.pipeline.prompt_names
        prompt = prompt_name if known else None
        answer = self.client.embed(texts, model=self.pipeline.name, prompt_name=prompt, priority="bulk")
        return Asked(answer=answer, took_s=time.monotonic() - begun)

    def classify(self, texts: Sequence[str]) -> Classifications:
        """All labels of texts with their scores, in bulk."""
        return self.client.classify(texts, model=self.pipeline.name, priority="bulk")
