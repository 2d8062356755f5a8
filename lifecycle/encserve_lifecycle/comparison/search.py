"""A search for queries among texts, by the vectors of one pipeline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encserve import ContractError, InvalidInput

from .forms import Form
from .ranks import Ranked, Vectors, nearest, similarities, unit
from .reading import Texts
from .side import Asked, Side

MOST_QUERIES = 1_000
"""Where texts are their own queries, so many of them are asked, evenly over the file."""
_MOST_PAIRS = 2_000_000
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Search:
    """Texts, and what is searched for among them."""

    texts: Texts
    queries: list[str]
    own: NDArray[np.int64] | None
    """Which text each query is, (queries,); None where they are not of the texts."""

    @classmethod
    def of(cls, texts: Texts, queries: Texts | None) -> Search:
        """Search for the queries, or without them for some of the texts among the others.

        Raises:
            InvalidInput: there are no others, or a relevant text is not there.
        """
        if queries is not None:
            wanted = {identity for gains in queries.relevant for identity in gains}
            if missing := sorted(wanted - set(texts.ids)):
                raise InvalidInput(
                    f"no text has the id {missing[0]!r}, which is relevant for a query, nor {len(missing) - 1} others; "
                    "a text that stands twice has the id of its first line"
                )
            return cls(texts=texts, queries=queries.texts, own=None)
        count = len(texts.texts)
        if count < 2:
            raise InvalidInput("without queries, two texts are the least: each looks for the others")
        own = np.linspace(0, count - 1, min(MOST_QUERIES, count)).round().astype(np.int64)
        return cls(texts=texts, queries=[texts.texts[index] for index in own], own=own)

    def ask(self, side: Side) -> Vectorised:
        """The vectors of all texts and queries.

        Raises:
            ContractError: another version became active between them.
            EncserveError: the server cannot be asked.
        """
        texts, queries = side.embed(self.texts.texts, "document"), side.embed(self.queries, "query")
        versions = [each.answer.version for each in (texts, queries)]
        if versions[0] != versions[1]:
            raise ContractError(
                f"version {versions[0]} answered the texts and version {versions[1]} the queries: compare again",
                model=side.pipeline.name,
                version=versions[1],
            )
        return Vectorised(search=self, texts=texts, queries=queries)


@dataclass(frozen=True, kw_only=True)
class Vectorised:
    """A search by the vectors of one pipeline."""

    search: Search
    texts: Asked
    queries: Asked

    @property
    def _vectors(self) -> tuple[Vectors, Vectors]:
        return self.queries.answer.vectors, self.texts.answer.vectors

    def ranked(self, form: Form | None = None) -> Ranked:
        """The nearest texts of each query, by vectors as they are or in another form."""
        queries, texts = self._vectors
        if form is not None:
            queries, texts = form.of(queries), form.of(texts)
        return nearest(queries, texts, self.search.own)

    def pairs(self) -> NDArray[np.float32]:
        """Cosines of queries and texts: of all, or of the same part of the queries for every pipeline."""
        queries, texts = self._vectors
        count = max(1, min(len(queries), _MOST_PAIRS // len(texts)))
        rows = np.random.default_rng(_SEED).permutation(len(queries))[:count]
        own = None if self.search.own is None else self.search.own[rows]
        every = similarities(unit(queries[rows]), unit(texts), own)
        finite: NDArray[np.float32] = every[np.isfinite(every)]
        return finite
