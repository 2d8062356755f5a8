"""Takes out of texts what patterns find, and what a pipeline of token classification finds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import cached_property

from encserve import AsyncClient
from encserve_gateway.samples.patterns import LONGEST, Span, found_by_form, scrubbed
from encserve_gateway.samples.words import whole_words

CHARACTERS = 4_000
"""Of a text that are kept at most."""
TIMEOUT_S = 10.0
NO_ENTITY = "O"


class Scrubber:
    """Scrubs the texts of one process of a gateway.

    Args:
        connect: makes a client that asks once, in the event loop in which it is used.
        model: the pipeline that is asked; empty for none.
    """

    def __init__(self, connect: Callable[[], AsyncClient], model: str) -> None:
        self._connect = connect
        self._model = model

    @cached_property
    def _client(self) -> AsyncClient:
        return self._connect()

    async def scrub(self, texts: Sequence[str]) -> list[str]:
        """The first `CHARACTERS` characters of each text, scrubbed.

        Raises:
            EncserveError: the pipeline does not answer about the whole of each text.
        """
        read = [text[: CHARACTERS + LONGEST] for text in texts]  # what begins before the cut is found whole
        spans = await asyncio.to_thread(lambda: [list(found_by_form(text)) for text in read])
        if self._model and any(map(str.strip, read)):
            for of_text, entities in zip(spans, await self._entities(read), strict=True):
                of_text += entities
        return [scrubbed(text, each, most=CHARACTERS) for text, each in zip(read, spans, strict=True)]

    async def _entities(self, texts: Sequence[str]) -> list[list[Span]]:
        answer = await self._client.classify_tokens(
            texts, model=self._model, long_text="chunk", priority="bulk", timeout_s=TIMEOUT_S, version="active"
        )
        return [
            whole_words(text, [Span(each.start, each.end, each.label) for each in entities if each.label != NO_ENTITY])
            for text, entities in zip(texts, answer.entities, strict=True)
        ]

    async def close(self) -> None:
        """Close the client, where there is one."""
        if "_client" in vars(self):
            await self._client.close()
