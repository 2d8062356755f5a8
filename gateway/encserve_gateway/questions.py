"""What several dialects ask of pipelines, with the defaults of names and the refusals that they share."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from encserve import Answer, AsyncClient, Classifications, Embeddings, Generations, Ranking
from encserve_gateway.bodies.kept_documents import Kept
from encserve_gateway.exchange import Exchange
from encserve_gateway.faults import TooLong
from encserve_gateway.pipelines.upstream import Served

Part = TypeVar("Part", bound=Answer)


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a request asks about texts, some of which may be too long.

    All methods raise `Fault` where the request is refused, a text is too long and shall not be cut, or the pipeline
    does not answer.
    """

    exchange: Exchange
    """The request."""
    served: Served
    """What is asked."""
    field: str
    """What the dialect calls the texts, for messages."""
    truncate: str | None = None
    """What becomes of texts that are too long: "end", "start", or "error" to refuse them; None as the name has it."""

    async def embed(
        self,
        texts: Sequence[str],
        *,
        prompt_name: str | None = None,
        dimensions: int | None = None,
        normalize: bool | None = True,
        adapter: str | None = None,
    ) -> Embeddings:
        """The vectors of texts, float32 (n, dim).

        Vectors have length 1 unless a request wants others: the clients of every dialect take that for granted,
        whatever the checkpoint does.

        Args:
            texts: one or more.
            prompt_name: one of the pipeline's, or "" for none; None as the name has it.
            dimensions: the length of the vectors; None as the name has it.
            normalize: whether they have length 1; None as the checkpoint says.
            adapter: one of the pipeline's; None as the name has it.
        """
        options = {
            "prompt_name": prompt_name,
            "dimensions": dimensions or None,
            "normalize": normalize,
            "adapter": adapter,
        }
        return await self.ask(AsyncClient.embed, texts, **options)

    async def rank(
        self,
        query: str,
        documents: Sequence[str] | Kept,
        *,
        top_k: int | None = None,
        instruction: str | None = None,
        **of_kept: Any,
    ) -> Ranking:
        """The order of documents for a query, best first, and their scores: of the `top_k` best, or of all for 0 or
        None. `instruction` is what they are judged by, None where nothing is said of it. Of documents whose vectors
        were kept there are further options."""
        top_k = min(top_k, len(documents)) if top_k else None
        options = {"prompt_name": None, "instruction": instruction, "top_k": top_k}
        return await self.ask(AsyncClient.rerank, query, documents, **options, **of_kept)

    async def rank_one_of_many(self, query: str, document: str, *, instruction: str | None = None) -> Ranking:
        """The score of a document for a query, beside which those of others are to stand: without a caller it is of the
        active version, since a candidate's share of such questions would be drawn one by one."""
        version = "active" if self.exchange.caller is None else None
        options = {"prompt_name": None, "instruction": instruction, "version": version}
        return await self.ask(AsyncClient.rerank, query, [document], **options)

    async def classify(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, top_k: int | None = None
    ) -> Classifications:
        """The labels of texts, or with `pairs` of texts and the second text of each, highest score first: the `top_k`
        best of each, or all for None."""
        return await self.ask(AsyncClient.classify, texts, text_pairs=pairs, top_k=top_k)

    async def ask(self, verb: Callable[..., Awaitable[Part]], *arguments: Any, **options: Any) -> Part:
        """The answer to a verb, a method of `AsyncClient` that takes `truncate`; options that are None are as the name
        has them."""
        filled, refuses = self._filled(options)
        model = self.served.pipeline.name
        self.exchange.about(*arguments, options.get("text_pairs"))
        answer = await self.exchange.answer(
            lambda client, how: verb(client, *arguments, model=model, **{**filled, **how})
        )
        if refuses:
            self._refuse_cut(answer)
        return answer

    async def generate_stream(self, text: str, **options: Any) -> AsyncGenerator[Generations, None]:
        """What is made of a text, part by part as it comes; options that are None are as the name has them."""
        filled, refuses = self._filled(options)
        model = self.served.pipeline.name
        self.exchange.about(text)
        async with aclosing(
            self.exchange.parts(lambda client, how: client.generate_stream(text, model=model, **{**filled, **how}))
        ) as parts:
            async for part in parts:
                if refuses:
                    self._refuse_cut(part)
                yield part

    def _filled(self, options: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """All options of a question, and whether texts that would be cut are refused."""
        filled = self.served.alias.fill({**options, "truncate": self.truncate})
        refuses = filled["truncate"] == "error"
        if refuses:  # here, since the refusal of the server does not say in numbers what clients are told in numbers
            filled["truncate"] = None
        return filled, refuses

    def _refuse_cut(self, answer: Answer) -> None:
        """Refuse an answer about less than the whole of its texts. Raises TooLong."""
        cut = np.flatnonzero(answer.dropped_counts)
        if not len(cut):
            return
        first = int(cut[0])
        given = int(answer.token_counts[first]) + int(answer.dropped_counts[first])
        where = self.field if len(answer) == 1 else f"{self.field}[{first}]"
        raise TooLong(where, param=self.field, given=given, limit=self.served.pipeline.max_length)
