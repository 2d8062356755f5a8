"""The client for asyncio: `Client` with `await`."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from encserve._call import Call
from encserve._client import Client
from encserve._grpc import AsyncGrpcTransport
from encserve._pipeline import PipelineInfo, is_pipeline
from encserve._results import (
    Answers,
    Classifications,
    Embeddings,
    MaskFills,
    Part,
    Ranking,
    SparseEmbeddings,
    TextScores,
    TokenClassifications,
    TokenEmbeddings,
)
from encserve._retry import Retry, attempt_async
from encserve._settings import DEFAULT_URL, Settings
from encserve._split import Chunk, as_pairs, as_sequence
from encserve._transport import AsyncTransport
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
from encserve._window import in_order_async

T = TypeVar("T")
Method = TypeVar("Method", bound=Callable[..., Any])


def documented_by(source: Callable[..., Any]) -> Callable[[Method], Method]:
    """Give a method the docstring of its twin."""

    def document(method: Method) -> Method:
        method.__doc__ = source.__doc__
        return method

    return document


class AsyncClient:
    """A client of the pipelines that a Triton server holds, for one event loop. Everything else is as in `Client`."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        timeout_s: float = 30.0,
        retry: Retry = Retry(),  # noqa: B008 - it is frozen
        concurrency: int = 4,
        texts_per_request: int = 64,
        transport: AsyncTransport | None = None,
    ) -> None:
        self._settings = Settings(
            timeout_s=timeout_s, retry=retry, concurrency=concurrency, texts_per_request=texts_per_request
        )
        self._transport = AsyncGrpcTransport(url) if transport is None else transport
        self._pipelines: dict[tuple[str, str], PipelineInfo] = {}

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
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s)
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
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s)
        return self._parts(Call(embed_verb(output_dtype), texts, terms))

    @documented_by(Client.embed_tokens)
    async def embed_tokens(
        self,
        texts: Iterable[str],
        *,
        model: str,
        truncate: str | None = None,
        dimensions: int | None = None,
        normalize: bool | None = None,
        progress: bool = False,
        timeout_s: float | None = None,
    ) -> TokenEmbeddings:
        options = embed_tokens_options(truncate=truncate, dimensions=dimensions, normalize=normalize)
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s)
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
    ) -> SparseEmbeddings:
        options = embed_sparse_options(truncate=truncate, top_k=top_k)
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s)
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
    ) -> Classifications:
        options = classify_options(truncate=truncate, top_k=top_k, long_text=long_text, overlap=overlap)
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s)
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
    ) -> Ranking:
        options = rerank_options(truncate=truncate, top_k=top_k)
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s)
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
    ) -> TokenClassifications:
        options = classify_tokens_options(
            truncate=truncate, aggregation=aggregation, long_text=long_text, overlap=overlap
        )
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s)
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
    ) -> Answers:
        options = answer_options(top_k=top_k, max_answer_length=max_answer_length, overlap=overlap, no_answer=no_answer)
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s)
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
    ) -> MaskFills:
        options = fill_mask_options(truncate=truncate, top_k=top_k)
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s)
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
    ) -> TextScores:
        terms = self._settings.terms(model, score_options(truncate=truncate), progress=progress, timeout_s=timeout_s)
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
    ) -> Classifications:
        count, options = classify_zero_shot_options(
            labels, truncate=truncate, multi_label=multi_label, hypothesis_template=hypothesis_template
        )
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s)
        return await self._whole(Call(classify_zero_shot_verb(count), as_sequence(texts), terms, rows_per_text=count))

    @documented_by(Client.models)
    async def models(self, *, timeout_s: float | None = None) -> list[PipelineInfo]:
        timeout_s = self._settings.timeout_or_default(timeout_s)
        pipelines = []
        for model in await self._retried(lambda left_s: self._transport.pipelines(timeout_s=left_s), timeout_s):
            parameters = await self._parameters(model.name, model.version, timeout_s)
            if is_pipeline(parameters):
                pipelines.append(PipelineInfo.from_parameters(model.name, parameters, version=model.version))
        return pipelines

    @documented_by(Client.close)
    async def close(self) -> None:
        await self._transport.close()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _whole(self, call: Call[Part]) -> Part:
        gathered = call.gather()
        async with aclosing(self._parts(call)) as parts:
            async for part in parts:
                gathered.put(part)
        return gathered.whole or call.nothing(await self._pipeline(call.model, "", call.timeout_s))

    async def _parts(self, call: Call[Part]) -> AsyncGenerator[Part, None]:
        pipeline = await self._pipeline(call.model, "", call.timeout_s)
        chunks = call.chunks(pipeline, texts_per_request=self._settings.texts_per_request)
        parts = in_order_async(partial(self._part, call), chunks, concurrency=self._settings.concurrency)
        with call.tally() as tally:
            async with aclosing(parts):
                async for part in parts:
                    tally.add(part)
                    yield part

    async def _part(self, call: Call[Part], chunk: Chunk) -> Part:
        request = call.request(chunk)
        response = await self._retried(lambda left_s: self._transport.infer(request, timeout_s=left_s), call.timeout_s)
        return call.part(response, chunk, await self._pipeline(call.model, response.version, call.timeout_s))

    async def _pipeline(self, model: str, version: str, timeout_s: float) -> PipelineInfo:
        """What the pipeline says of itself, asked once per version. An empty version is the one last heard of."""
        pipeline = self._pipelines.get((model, version))
        if pipeline is None:
            parameters = await self._parameters(model, version, timeout_s)
            pipeline = PipelineInfo.from_parameters(model, parameters, version=version)
            self._pipelines[model, version] = self._pipelines[model, ""] = pipeline
        return pipeline

    async def _parameters(self, model: str, version: str, timeout_s: float) -> Mapping[str, str]:
        return await self._retried(
            lambda left_s: self._transport.pipeline_config(model, version=version, timeout_s=left_s), timeout_s
        )

    async def _retried(self, call: Callable[[float], Awaitable[T]], timeout_s: float) -> T:
        return await attempt_async(call, self._settings.schedule(timeout_s))
