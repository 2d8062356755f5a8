"""The client for asyncio: `Client` with `await`."""

from collections.abc import AsyncIterator, Iterable
from types import TracebackType

from encserve._async_connection import AsyncConnection, documented_by
from encserve._call import Call
from encserve._client import Client
from encserve._results import (
    Answers,
    Classifications,
    Embeddings,
    MaskFills,
    Ranking,
    SparseEmbeddings,
    TextScores,
    TokenClassifications,
    TokenEmbeddings,
)
from encserve._split import as_pairs, as_sequence
from encserve._verbs.answer import ANSWER, answer_options
from encserve._verbs.classify import CLASSIFY, classify_options
from encserve._verbs.classify_tokens import CLASSIFY_TOKENS, classify_tokens_options
from encserve._verbs.classify_zero_shot import classify_zero_shot_options, classify_zero_shot_verb
from encserve._verbs.embed import embed_options, embed_verb
from encserve._verbs.embed_sparse import EMBED_SPARSE, embed_sparse_options
from encserve._verbs.embed_tokens import EMBED_TOKENS, embed_tokens_options
from encserve._verbs.fill_mask import FILL_MASK, fill_mask_options
from encserve._verbs.rerank import rerank_options, rerank_verb
from encserve._verbs.score import SCORE, score_options


class AsyncClient(AsyncConnection):
    """A client of the pipelines that a Triton server holds, for one event loop. Everything else is as in `Client`.

    Args:
        coalesce: whether calls that run at the same time and ask the same, with the same timeout, may share requests,
            so that many calls about one text each cost the server little more than one call about them all. Each keeps
            its own result, its own error and its own end. A text waits for company only while a request is under way,
            and for at most 1 ms, or as many seconds as are given here.
    """

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @documented_by(Client.embed)
    async def embed(
        self,
        texts: Iterable[str],
        *,
        model: str,
        truncate: str | None = None,
        prompt_name: str | None = None,
        dimensions: int | None = None,
        normalize: bool | None = None,
        output_dtype: str | None = None,
        long_text: str | None = None,
        overlap: int | None = None,
        progress: bool = False,
        timeout_s: float | None = None,
        priority: str | None = None,
    ) -> Embeddings:
        options = embed_options(
            truncate=truncate,
            prompt_name=prompt_name,
            dimensions=dimensions,
            normalize=normalize,
            output_dtype=output_dtype,
            long_text=long_text,
            overlap=overlap,
        )
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s, priority=priority)
        return await self._whole(Call(embed_verb(output_dtype), as_sequence(texts), terms))

    @documented_by(Client.embed_iter)
    def embed_iter(
        self,
        texts: Iterable[str],
        *,
        model: str,
        truncate: str | None = None,
        prompt_name: str | None = None,
        dimensions: int | None = None,
        normalize: bool | None = None,
        output_dtype: str | None = None,
        long_text: str | None = None,
        overlap: int | None = None,
        progress: bool = False,
        timeout_s: float | None = None,
        priority: str | None = None,
    ) -> AsyncIterator[Embeddings]:
        options = embed_options(
            truncate=truncate,
            prompt_name=prompt_name,
            dimensions=dimensions,
            normalize=normalize,
            output_dtype=output_dtype,
            long_text=long_text,
            overlap=overlap,
        )
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s, priority=priority)
        return self._parts(Call(embed_verb(output_dtype), texts, terms))

    @documented_by(Client.embed_tokens)
    async def embed_tokens(
        self,
        texts: Iterable[str],
        *,
        model: str,
        truncate: str | None = None,
        prompt_name: str | None = None,
        dimensions: int | None = None,
        normalize: bool | None = None,
        progress: bool = False,
        timeout_s: float | None = None,
        priority: str | None = None,
    ) -> TokenEmbeddings:
        options = embed_tokens_options(
            truncate=truncate, prompt_name=prompt_name, dimensions=dimensions, normalize=normalize
        )
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s, priority=priority)
        return await self._whole(Call(EMBED_TOKENS, as_sequence(texts), terms))

    @documented_by(Client.embed_sparse)
    async def embed_sparse(
        self,
        texts: Iterable[str],
        *,
        model: str,
        top_k: int | None = None,
        truncate: str | None = None,
        progress: bool = False,
        timeout_s: float | None = None,
        priority: str | None = None,
    ) -> SparseEmbeddings:
        options = embed_sparse_options(truncate=truncate, top_k=top_k)
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s, priority=priority)
        return await self._whole(Call(EMBED_SPARSE, as_sequence(texts), terms))

    @documented_by(Client.classify)
    async def classify(
        self,
        texts: Iterable[str],
        *,
        model: str,
        text_pairs: Iterable[str] | None = None,
        top_k: int | None = None,
        truncate: str | None = None,
        long_text: str | None = None,
        overlap: int | None = None,
        progress: bool = False,
        timeout_s: float | None = None,
        priority: str | None = None,
    ) -> Classifications:
        options = classify_options(truncate=truncate, top_k=top_k, long_text=long_text, overlap=overlap)
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s, priority=priority)
        texts, pairs = as_pairs(texts, text_pairs)
        return await self._whole(Call(CLASSIFY, texts, terms, pairs=pairs))

    @documented_by(Client.rerank)
    async def rerank(
        self,
        query: str,
        documents: Iterable[str],
        *,
        model: str,
        top_k: int | None = None,
        truncate: str | None = None,
        progress: bool = False,
        timeout_s: float | None = None,
        priority: str | None = None,
    ) -> Ranking:
        options = rerank_options(truncate=truncate, top_k=top_k)
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s, priority=priority)
        return await self._whole(
            Call(rerank_verb(top_k), as_sequence(documents, name="documents"), terms, shared=query)
        )

    @documented_by(Client.classify_tokens)
    async def classify_tokens(
        self,
        texts: Iterable[str],
        *,
        model: str,
        aggregation: str | None = None,
        truncate: str | None = None,
        long_text: str | None = None,
        overlap: int | None = None,
        progress: bool = False,
        timeout_s: float | None = None,
        priority: str | None = None,
    ) -> TokenClassifications:
        options = classify_tokens_options(
            truncate=truncate, aggregation=aggregation, long_text=long_text, overlap=overlap
        )
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s, priority=priority)
        return await self._whole(Call(CLASSIFY_TOKENS, as_sequence(texts), terms))

    @documented_by(Client.answer)
    async def answer(
        self,
        question: str,
        context: str,
        *,
        model: str,
        top_k: int | None = None,
        max_answer_length: int | None = None,
        overlap: int | None = None,
        no_answer: bool | None = None,
        progress: bool = False,
        timeout_s: float | None = None,
        priority: str | None = None,
    ) -> Answers:
        options = answer_options(top_k=top_k, max_answer_length=max_answer_length, overlap=overlap, no_answer=no_answer)
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s, priority=priority)
        return await self._whole(Call(ANSWER, [context], terms, shared=question))

    @documented_by(Client.fill_mask)
    async def fill_mask(
        self,
        texts: Iterable[str],
        *,
        model: str,
        top_k: int | None = None,
        truncate: str | None = None,
        progress: bool = False,
        timeout_s: float | None = None,
        priority: str | None = None,
    ) -> MaskFills:
        options = fill_mask_options(truncate=truncate, top_k=top_k)
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s, priority=priority)
        return await self._whole(Call(FILL_MASK, as_sequence(texts), terms))

    @documented_by(Client.score)
    async def score(
        self,
        texts: Iterable[str],
        *,
        model: str,
        truncate: str | None = None,
        progress: bool = False,
        timeout_s: float | None = None,
        priority: str | None = None,
    ) -> TextScores:
        terms = self._settings.terms(
            model, score_options(truncate=truncate), progress=progress, timeout_s=timeout_s, priority=priority
        )
        return await self._whole(Call(SCORE, as_sequence(texts), terms))

    @documented_by(Client.classify_zero_shot)
    async def classify_zero_shot(
        self,
        texts: Iterable[str],
        labels: Iterable[str],
        *,
        model: str,
        multi_label: bool | None = None,
        hypothesis_template: str | None = None,
        truncate: str | None = None,
        progress: bool = False,
        timeout_s: float | None = None,
        priority: str | None = None,
    ) -> Classifications:
        count, options = classify_zero_shot_options(
            labels, truncate=truncate, multi_label=multi_label, hypothesis_template=hypothesis_template
        )
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s, priority=priority)
        return await self._whole(Call(classify_zero_shot_verb(count), as_sequence(texts), terms, rows_per_text=count))
