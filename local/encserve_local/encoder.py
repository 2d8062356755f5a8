"""A pipeline in this process, with the verbs of the SDK."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from encserve import (
    Answers,
    Classifications,
    Client,
    Embeddings,
    HybridEmbeddings,
    InvalidInput,
    MaskFills,
    PipelineInfo,
    Ranking,
    SpanEmbeddings,
    SparseEmbeddings,
    TextScores,
    TokenClassifications,
    TokenEmbeddings,
)
from encserve._conversation.deadline import MAX_TIMEOUT_S, check_timeout
from encserve._conversation.settings import CONCURRENCY

from .certified import read_version
from .transport import LocalTransport

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from encserve._kept_documents import Documents
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
    from encserve._verbs.rerank import RerankOptions
    from encserve._verbs.score import ScoreOptions

_REQUESTS_PER_CORE = 4
"""Requests under way for each core, so that texts of about one length are found among them."""


class Encoder:
    """A certified pipeline of a model repository, computed in this process: no server, no network.

    It has the verbs of `Client` that the pipeline's task has, with the same options, answers and errors, and without
    `model`. The steps are the very code that the version was certified with, on its own tokenizer, graph and head; all
    files are held against the certificate before any of them is used. Threads may share an encoder, processes may not:
    each makes its own, after a fork.

    Args:
        repository: The folder of the model repository.
        name: The pipeline.
        version: One of its published versions; without it the active one, as for a server.
        cores: The most cores that the network gets; without it all that the process may use.
        timeout_s: Seconds that a call may take, where it has no timeout of its own; without it as long as it takes.

    Raises:
        ModelNotFound: the repository has no such pipeline or version, or cannot be read.
        ContractError: a file is not the certified one, or another release of encserve has made the version.
        InvalidInput: an argument has an impossible value, or the pipeline needs Triton: one of engine `onnxruntime` or
            `tensorrt`, or one that generates texts.
        EncserveError: this host lacks what the version requires, such as a kind of processor.
    """

    def __init__(
        self,
        repository: str | os.PathLike[str],
        name: str,
        *,
        version: int | None = None,
        cores: int | None = None,
        timeout_s: float = MAX_TIMEOUT_S,
    ) -> None:
        for argument, value in (("version", version), ("cores", cores)):
            if value is not None and (type(value) is not int or value < 1):
                raise InvalidInput(f"{argument} is {value!r}, expected a whole number, 1 or more")
        check_timeout(timeout_s)
        self._transport = LocalTransport(read_version(Path(repository), name, version), cores=cores)
        self._name = name
        usable = cores or len(os.sched_getaffinity(0))
        self._client = Client(
            transport=self._transport, timeout_s=timeout_s, concurrency=max(CONCURRENCY, _REQUESTS_PER_CORE * usable)
        )

    def __enter__(self) -> Encoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pipeline(self) -> PipelineInfo:
        """What the pipeline says of itself: its task, limits, version and certificate."""
        return self._transport.pipeline.info

    @property
    def slow_here(self) -> str:
        """Why this processor computes it slowly, as a sentence; empty if it does not."""
        return self._transport.pipeline.slow_here

    def close(self) -> None:
        """End the threads. Calls that are under way end with `TransportError`, and later ones do."""
        self._client.close()

    def embed(self, texts: Iterable[str], **options: Unpack[EmbedOptions]) -> Embeddings:
        """Embed texts, as `Client.embed` does."""
        return self._client.embed(texts, model=self._name, **options)

    def embed_iter(self, texts: Iterable[str], **options: Unpack[EmbedOptions]) -> Generator[Embeddings, None, None]:
        """Embed texts as they come, as `Client.embed_iter` does."""
        return self._client.embed_iter(texts, model=self._name, **options)

    def embed_tokens(self, texts: Iterable[str], **options: Unpack[EmbedTokensOptions]) -> TokenEmbeddings:
        """Embed each token of texts, as `Client.embed_tokens` does."""
        return self._client.embed_tokens(texts, model=self._name, **options)

    def embed_spans(self, texts: Iterable[str], **options: Unpack[EmbedSpansOptions]) -> SpanEmbeddings:
        """Embed parts of texts that are read whole, as `Client.embed_spans` does."""
        return self._client.embed_spans(texts, model=self._name, **options)

    def embed_sparse(self, texts: Iterable[str], **options: Unpack[EmbedSparseOptions]) -> SparseEmbeddings:
        """Embed texts as weighted tokens of the vocabulary, as `Client.embed_sparse` does."""
        return self._client.embed_sparse(texts, model=self._name, **options)

    def embed_hybrid(self, texts: Iterable[str], **options: Unpack[EmbedHybridOptions]) -> HybridEmbeddings:
        """Embed texts as vectors, weighted terms and vectors of tokens, of one pass, as `Client.embed_hybrid` does."""
        return self._client.embed_hybrid(texts, model=self._name, **options)

    def classify(
        self, texts: Iterable[str], *, text_pairs: Iterable[str] | None = None, **options: Unpack[ClassifyOptions]
    ) -> Classifications:
        """Give texts, or pairs of texts, the labels of the pipeline, as `Client.classify` does."""
        return self._client.classify(texts, model=self._name, text_pairs=text_pairs, **options)

    def classify_zero_shot(
        self, texts: Iterable[str], labels: Iterable[str], **options: Unpack[ClassifyZeroShotOptions]
    ) -> Classifications:
        """Give texts labels that the model was not trained for, as `Client.classify_zero_shot` does."""
        return self._client.classify_zero_shot(texts, labels, model=self._name, **options)

    def classify_tokens(self, texts: Iterable[str], **options: Unpack[ClassifyTokensOptions]) -> TokenClassifications:
        """Find the entities of texts, as `Client.classify_tokens` does."""
        return self._client.classify_tokens(texts, model=self._name, **options)

    def extract_entities(
        self, texts: Iterable[str], labels: Iterable[str], **options: Unpack[ExtractEntitiesOptions]
    ) -> TokenClassifications:
        """Find entities of labels that the model was not trained for, as `Client.extract_entities` does."""
        return self._client.extract_entities(texts, labels, model=self._name, **options)

    def rerank(self, query: str, documents: Documents, **options: Unpack[RerankOptions]) -> Ranking:
        """Order documents by how well they answer a query, as `Client.rerank` does."""
        return self._client.rerank(query, documents, model=self._name, **options)

    def answer(self, question: str, context: str, **options: Unpack[AnswerOptions]) -> Answers:
        """Find the spans of a context that answer a question, as `Client.answer` does."""
        return self._client.answer(question, context, model=self._name, **options)

    def fill_mask(self, texts: Iterable[str], **options: Unpack[FillMaskOptions]) -> MaskFills:
        """Find the likeliest tokens for the masks of texts, as `Client.fill_mask` does."""
        return self._client.fill_mask(texts, model=self._name, **options)

    def score(self, texts: Iterable[str], **options: Unpack[ScoreOptions]) -> TextScores:
        """Tell how likely texts are to a masked language model, as `Client.score` does."""
        return self._client.score(texts, model=self._name, **options)
