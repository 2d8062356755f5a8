"""The client for asyncio: `Client` with `await`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from encserve._calls import Calls, documented
from encserve._client import Client
from encserve._conversation.call import Call
from encserve._conversation.conversation import Conversation
from encserve._conversation.retry import Retry
from encserve._conversation.settings import CONCURRENCY, RETRY, TEXTS_PER_REQUEST, TIMEOUT_S, Settings
from encserve._hybrid.embeddings import HybridEmbeddings
from encserve._kept_documents import Documents
from encserve._pipeline import PipelineInfo
from encserve._results import (
    Answers,
    Classifications,
    Embeddings,
    Generations,
    MaskFills,
    Part,
    Ranking,
    SparseEmbeddings,
    TextScores,
    TokenClassifications,
    TokenEmbeddings,
)
from encserve._shells.awaiting import AwaitingShell
from encserve._shells.coalesce import max_delay_of
from encserve._spans.embeddings import SpanEmbeddings
from encserve._streams import AsyncGeneratedStream
from encserve._transport.addresses import DEFAULT_URL
from encserve._transport.awaiting import AsyncGrpcTransport
from encserve._transport.seam import AsyncTransport
from encserve._transport.tls import Tls
from encserve._verbs.classify_tokens import CLASSIFY_TOKENS
from encserve._verbs.embedding.embed import EMBED
from encserve._verbs.embedding.hybrid import EMBED_HYBRID
from encserve._verbs.embedding.spans import EMBED_SPANS
from encserve._verbs.embedding.sparse import EMBED_SPARSE
from encserve._verbs.embedding.tokens import EMBED_TOKENS
from encserve._verbs.fill_mask import FILL_MASK
from encserve._verbs.generate import GENERATE
from encserve._verbs.score import SCORE

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from encserve._verbs.answer import AnswerOptions
    from encserve._verbs.classify import ClassifyOptions
    from encserve._verbs.classify_tokens import ClassifyTokensOptions
    from encserve._verbs.classify_zero_shot import ClassifyZeroShotOptions
    from encserve._verbs.embedding.embed import EmbedOptions
    from encserve._verbs.embedding.hybrid import EmbedHybridOptions
    from encserve._verbs.embedding.spans import EmbedSpansOptions
    from encserve._verbs.embedding.sparse import EmbedSparseOptions
    from encserve._verbs.embedding.tokens import EmbedTokensOptions
    from encserve._verbs.entities.extract import ExtractEntitiesOptions
    from encserve._verbs.fill_mask import FillMaskOptions
    from encserve._verbs.generate import GenerateOptions
    from encserve._verbs.rerank import RerankOptions
    from encserve._verbs.score import ScoreOptions


@documented
class AsyncClient:
    """A client of the pipelines that a Triton server holds, for one event loop. Everything else is as in `Client`.

    Args:
        coalesce: whether calls that run at the same time and ask the same, with the same timeout and in the same trace,
            may share requests, so that many calls about one text each cost the server little more than one call about
            them all. Each keeps its own result, its own error and its own end. A text waits for company only while a
            request is under way, and for at most 1 ms, or as many seconds as are given here.
    """

    def __init__(
        self,
        url: str | Sequence[str] = DEFAULT_URL,
        *,
        timeout_s: float = TIMEOUT_S,
        retry: Retry = RETRY,
        concurrency: int = CONCURRENCY,
        texts_per_request: int = TEXTS_PER_REQUEST,
        caller: str | None = None,
        tls: Tls | None = None,
        api_key: str | None = None,
        admin_secret: str | None = None,
        coalesce: bool | float = True,
        transport: AsyncTransport | None = None,
    ) -> None:
        settings = Settings(
            timeout_s=timeout_s,
            retry=retry,
            concurrency=concurrency,
            texts_per_request=texts_per_request,
            caller=caller,
        )
        self._calls, self._conversation = Calls(settings), Conversation(settings)
        max_delay_s = max_delay_of(coalesce)
        if transport is None:
            transport = AsyncGrpcTransport(url, tls=tls, api_key=api_key, admin_secret=admin_secret)
        self._transport = transport
        self._shell = AwaitingShell(self._conversation, transport, max_delay_s=max_delay_s)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def models(self, *, timeout_s: float | None = None) -> list[PipelineInfo]:
        return await self._shell.run(self._conversation.models(self._calls.deadline(timeout_s)))

    async def pipeline(self, model: str, *, timeout_s: float | None = None) -> PipelineInfo:
        return await self._shell.run(self._conversation.pipeline(model, self._calls.deadline(timeout_s)))

    async def close(self) -> None:
        self._shell.close()
        await self._transport.close()

    async def _whole(self, call: Call[Part]) -> Part:
        return await self._shell.run(self._conversation.whole(call))

    async def embed(self, texts: Iterable[str], *, model: str, **options: Unpack[EmbedOptions]) -> Embeddings:
        """Embed texts. Returns one row per text, in order."""
        return await self._whole(self._calls.about_list(EMBED, texts, model, options))

    async def embed_tokens(
        self, texts: Iterable[str], *, model: str, **options: Unpack[EmbedTokensOptions]
    ) -> TokenEmbeddings:
        """Embed each token of texts, as late interaction needs it."""
        return await self._whole(self._calls.about_list(EMBED_TOKENS, texts, model, options))

    async def embed_spans(
        self, texts: Iterable[str], *, model: str, **options: Unpack[EmbedSpansOptions]
    ) -> SpanEmbeddings:
        """Embed parts of texts that are read whole, as late chunking does."""
        return await self._whole(self._calls.about_list(EMBED_SPANS, texts, model, options))

    async def embed_sparse(
        self, texts: Iterable[str], *, model: str, **options: Unpack[EmbedSparseOptions]
    ) -> SparseEmbeddings:
        """Embed texts as weighted tokens of the vocabulary, for an inverted index."""
        return await self._whole(self._calls.about_list(EMBED_SPARSE, texts, model, options))

    async def embed_hybrid(
        self, texts: Iterable[str], *, model: str, **options: Unpack[EmbedHybridOptions]
    ) -> HybridEmbeddings:
        """Embed texts as vectors, as weighted tokens of the vocabulary, and as vectors of their tokens, of one pass."""
        return await self._whole(self._calls.about_list(EMBED_HYBRID, texts, model, options))

    async def classify(
        self,
        texts: Iterable[str],
        *,
        model: str,
        text_pairs: Iterable[str] | None = None,
        **options: Unpack[ClassifyOptions],
    ) -> Classifications:
        """Give texts, or pairs of texts, the labels of the pipeline, highest score first."""
        return await self._whole(self._calls.classify(texts, text_pairs, model, options))

    async def classify_zero_shot(
        self, texts: Iterable[str], labels: Iterable[str], *, model: str, **options: Unpack[ClassifyZeroShotOptions]
    ) -> Classifications:
        """Give texts labels that the model was not trained for."""
        return await self._whole(self._calls.classify_zero_shot(texts, labels, model, options))

    async def classify_tokens(
        self, texts: Iterable[str], *, model: str, **options: Unpack[ClassifyTokensOptions]
    ) -> TokenClassifications:
        """Find the entities of texts, with their places as Python string indices."""
        return await self._whole(self._calls.about_list(CLASSIFY_TOKENS, texts, model, options))

    async def extract_entities(
        self, texts: Iterable[str], labels: Iterable[str], *, model: str, **options: Unpack[ExtractEntitiesOptions]
    ) -> TokenClassifications:
        """Find entities of labels that the model was not trained for, with their places as Python string indices."""
        return await self._whole(self._calls.extract_entities(texts, labels, model, options))

    async def rerank(
        self, query: str, documents: Documents, *, model: str, **options: Unpack[RerankOptions]
    ) -> Ranking:
        """Order documents by how well they answer a query, best first."""
        return await self._whole(self._calls.rerank(query, documents, model, options))

    async def answer(self, question: str, context: str, *, model: str, **options: Unpack[AnswerOptions]) -> Answers:
        """Find the spans of a context that answer a question, best first, with their places as Python indices."""
        return await self._whole(self._calls.answer(question, context, model, options))

    async def fill_mask(self, texts: Iterable[str], *, model: str, **options: Unpack[FillMaskOptions]) -> MaskFills:
        """Find the likeliest tokens for the masks of texts, highest score first."""
        return await self._whole(self._calls.about_list(FILL_MASK, texts, model, options))

    async def generate(self, texts: Iterable[str], *, model: str, **options: Unpack[GenerateOptions]) -> Generations:
        """Make new texts of texts, such as translations or summaries."""
        return await self._whole(self._calls.about_list(GENERATE, texts, model, options))

    def generate_stream(self, text: str, *, model: str, **options: Unpack[GenerateOptions]) -> AsyncGeneratedStream:
        call = self._calls.about_list(GENERATE, [text], model, options)
        return AsyncGeneratedStream(self._shell.parts(self._conversation.streamed(call)))

    async def score(self, texts: Iterable[str], *, model: str, **options: Unpack[ScoreOptions]) -> TextScores:
        """Tell how likely texts are to a masked language model, by their pseudo-log-likelihoods."""
        return await self._whole(self._calls.about_list(SCORE, texts, model, options))

    def embed_iter(
        self, texts: Iterable[str] | AsyncIterable[str], *, model: str, **options: Unpack[EmbedOptions]
    ) -> AsyncGenerator[Embeddings, None]:
        return self._shell.parts(self._conversation.parts(self._calls.about(EMBED, texts, model, options)))


for _name in ("models", "pipeline", "close", "embed_iter", "generate_stream"):
    getattr(AsyncClient, _name).__doc__ = getattr(Client, _name).__doc__
