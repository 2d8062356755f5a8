"""The blocking client."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from encserve._calls import Calls, documented, refuse_async
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
from encserve._shells.blocking import BlockingShell
from encserve._spans.embeddings import SpanEmbeddings
from encserve._streams import GeneratedStream
from encserve._transport.addresses import DEFAULT_URL
from encserve._transport.blocking import GrpcTransport
from encserve._transport.seam import Transport
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
class Client:
    """A client of the pipelines that a Triton server holds. Threads may share it.

    Args:
        url: "host:port" of the server's gRPC endpoint. A list of such addresses, and "dns:///host:port" for all that a
            name stands for, are replicas of one server: each request goes to the next of them, and is repeated on
            another where one is down. Not used when there is a `transport`.
        timeout_s: seconds that a call may take, with all its requests and their retries; of a call in bulk, each of its
            requests. Every call can have its own, which then holds for the whole of it.
        retry: how to repeat a request that found the server unavailable.
        concurrency: requests that this client has in flight at a time, in each lane of a pipeline, and threads that it
            has for them. Further ones wait in the client, first come first served. Lanes and pipelines have places of
            their own, as they have queues of their own in the server: bulk keeps nobody waiting, nor does a pipeline
            that hangs keep another.
        texts_per_request: longer lists are split; the limits of the server hold as well.
        caller: who asks, for calls that do not say it themselves: while a pipeline has a candidate, all calls of one
            caller go to the same version. It is not sent.
        tls: how to encrypt the connection; without it, it is plain.
        api_key: of a gateway before the server; sent over TLS, or to this host, only.
        admin_secret: of the server, which `models` needs; sent over TLS, or to this host, only. Looked up where this
            user runs the server on this host.
        transport: what to use in place of gRPC channels. The client closes it.

    Raises:
        InvalidInput: an argument has an impossible value, or a file of `tls` is unfit.
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
        transport: Transport | None = None,
    ) -> None:
        settings = Settings(
            timeout_s=timeout_s,
            retry=retry,
            concurrency=concurrency,
            texts_per_request=texts_per_request,
            caller=caller,
        )
        self._calls, self._conversation = Calls(settings), Conversation(settings)
        if transport is None:
            transport = GrpcTransport(url, tls=tls, api_key=api_key, admin_secret=admin_secret)
        self._transport = transport
        self._shell = BlockingShell(self._conversation, transport)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def models(self, *, timeout_s: float | None = None) -> list[PipelineInfo]:
        """The pipelines of encserve that the server is ready to serve; other models are left out.

        Raises:
            AccessDenied: the server lists its models for operators only, and `admin_secret` is missing or wrong.
            Unavailable: the server was down through all retries, or had no room.
            DeadlineExceeded: there was no answer in time.
            ContractError: a pipeline speaks another version of the contract, or its configuration is malformed.
        """
        return self._shell.run(self._conversation.models(self._calls.deadline(timeout_s)))

    def pipeline(self, model: str, *, timeout_s: float | None = None) -> PipelineInfo:
        """What one pipeline says of itself. It needs no `admin_secret`, and asks the server only where this client does
        not know the answer yet, or has known it for ten seconds; its `version` is empty until the pipeline has answered
        a call.

        Raises:
            ModelNotFound: the server has no such pipeline.
            Unavailable: the server was down through all retries, or had no room.
            DeadlineExceeded: there was no answer in time.
            ContractError: the model is no pipeline of encserve, or speaks another version of the contract.
        """
        return self._shell.run(self._conversation.pipeline(model, self._calls.deadline(timeout_s)))

    def close(self) -> None:
        """Close the connection. Calls that are under way end with `TransportError`, within a second."""
        self._shell.close()
        self._transport.close()

    def _whole(self, call: Call[Part]) -> Part:
        return self._shell.run(self._conversation.whole(call))

    def embed(self, texts: Iterable[str], *, model: str, **options: Unpack[EmbedOptions]) -> Embeddings:
        """Embed texts. Returns one row per text, in order."""
        return self._whole(self._calls.about_list(EMBED, texts, model, options))

    def embed_tokens(
        self, texts: Iterable[str], *, model: str, **options: Unpack[EmbedTokensOptions]
    ) -> TokenEmbeddings:
        """Embed each token of texts, as late interaction needs it."""
        return self._whole(self._calls.about_list(EMBED_TOKENS, texts, model, options))

    def embed_spans(self, texts: Iterable[str], *, model: str, **options: Unpack[EmbedSpansOptions]) -> SpanEmbeddings:
        """Embed parts of texts that are read whole, as late chunking does."""
        return self._whole(self._calls.about_list(EMBED_SPANS, texts, model, options))

    def embed_sparse(
        self, texts: Iterable[str], *, model: str, **options: Unpack[EmbedSparseOptions]
    ) -> SparseEmbeddings:
        """Embed texts as weighted tokens of the vocabulary, for an inverted index."""
        return self._whole(self._calls.about_list(EMBED_SPARSE, texts, model, options))

    def embed_hybrid(
        self, texts: Iterable[str], *, model: str, **options: Unpack[EmbedHybridOptions]
    ) -> HybridEmbeddings:
        """Embed texts as vectors, as weighted tokens of the vocabulary, and as vectors of their tokens, of one pass."""
        return self._whole(self._calls.about_list(EMBED_HYBRID, texts, model, options))

    def classify(
        self,
        texts: Iterable[str],
        *,
        model: str,
        text_pairs: Iterable[str] | None = None,
        **options: Unpack[ClassifyOptions],
    ) -> Classifications:
        """Give texts, or pairs of texts, the labels of the pipeline, highest score first."""
        return self._whole(self._calls.classify(texts, text_pairs, model, options))

    def classify_zero_shot(
        self, texts: Iterable[str], labels: Iterable[str], *, model: str, **options: Unpack[ClassifyZeroShotOptions]
    ) -> Classifications:
        """Give texts labels that the model was not trained for."""
        return self._whole(self._calls.classify_zero_shot(texts, labels, model, options))

    def classify_tokens(
        self, texts: Iterable[str], *, model: str, **options: Unpack[ClassifyTokensOptions]
    ) -> TokenClassifications:
        """Find the entities of texts, with their places as Python string indices."""
        return self._whole(self._calls.about_list(CLASSIFY_TOKENS, texts, model, options))

    def extract_entities(
        self, texts: Iterable[str], labels: Iterable[str], *, model: str, **options: Unpack[ExtractEntitiesOptions]
    ) -> TokenClassifications:
        """Find entities of labels that the model was not trained for, with their places as Python string indices."""
        return self._whole(self._calls.extract_entities(texts, labels, model, options))

    def rerank(self, query: str, documents: Documents, *, model: str, **options: Unpack[RerankOptions]) -> Ranking:
        """Order documents by how well they answer a query, best first."""
        return self._whole(self._calls.rerank(query, documents, model, options))

    def answer(self, question: str, context: str, *, model: str, **options: Unpack[AnswerOptions]) -> Answers:
        """Find the spans of a context that answer a question, best first, with their places as Python indices."""
        return self._whole(self._calls.answer(question, context, model, options))

    def fill_mask(self, texts: Iterable[str], *, model: str, **options: Unpack[FillMaskOptions]) -> MaskFills:
        """Find the likeliest tokens for the masks of texts, highest score first."""
        return self._whole(self._calls.about_list(FILL_MASK, texts, model, options))

    def generate(self, texts: Iterable[str], *, model: str, **options: Unpack[GenerateOptions]) -> Generations:
        """Make new texts of texts, such as translations or summaries."""
        return self._whole(self._calls.about_list(GENERATE, texts, model, options))

    def generate_stream(self, text: str, *, model: str, **options: Unpack[GenerateOptions]) -> GeneratedStream:
        """Make a new text of one text, piece by piece. Returns an iterator of the pieces, whose `text`, `finish` and
        `last` tell what came so far and why it ended.

        As a context manager it tells the server at its end that nobody wants more. Arguments and errors are those of
        `generate`; a call that failed is repeated before its first piece only. Without a timeout of its own the whole
        text has the client's.
        """
        call = self._calls.about_list(GENERATE, [text], model, options)
        return GeneratedStream(self._shell.parts(self._conversation.streamed(call)))

    def score(self, texts: Iterable[str], *, model: str, **options: Unpack[ScoreOptions]) -> TextScores:
        """Tell how likely texts are to a masked language model, by their pseudo-log-likelihoods."""
        return self._whole(self._calls.about_list(SCORE, texts, model, options))

    def embed_iter(
        self, texts: Iterable[str], *, model: str, **options: Unpack[EmbedOptions]
    ) -> Generator[Embeddings, None, None]:
        """Embed texts as they come. Yields the embeddings of consecutive texts, in order; `start` tells the first.

        The texts may come from a generator that pauses: what has come is sent, and no answer waits for the next text. A
        generator is read on a thread of its own, a request ahead of the answers that were taken. Arguments and errors
        are those of `embed`. The texts of a list are checked before the first is sent, others as they are read.

        All rows are of one version, since vectors of two do not compare. Of several replicas the iterator asks those
        that have the version of its first rows. Where most of them lack it, it ends with `ContractError` before the
        first row of another version: `embed` asks all texts again of the newer one, but rows that were handed over
        cannot be taken back. The error's `rows_done` is how many were, and its `version` the one that answers now.
        """
        refuse_async(texts)
        return self._shell.parts(self._conversation.parts(self._calls.about(EMBED, texts, model, options)))
