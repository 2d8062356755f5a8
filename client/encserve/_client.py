"""The blocking client. `AsyncClient` is the same with `await`, and takes its documentation from here."""

from collections.abc import Iterable, Iterator
from types import TracebackType

from encserve._call import Call
from encserve._connection import Connection
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


class Client(Connection):
    """A client of the pipelines that a Triton server holds. Threads may share it.

    Args:
        url: "host:port" of the server's gRPC endpoint; not used when there is a `transport`.
        timeout_s: seconds that one request may take, with all its retries. Every call can have its own.
        retry: how to repeat a request that found the server unavailable.
        concurrency: requests in flight at a time, per call.
        texts_per_request: longer lists are split; the limits of the server hold as well.
        tls: how to encrypt the connection; without it, it is plain.
        api_key: of a gateway before the server; sent over TLS, or to this host, only.
        admin_secret: of the server, which `models` needs; looked up where this user runs the server on this host.
        transport: what to use in place of a gRPC channel. The client closes it.

    Raises:
        InvalidInput: an argument has an impossible value, or a file of `tls` is unfit.
    """

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def embed(
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
        """Embed texts. Returns one row per text, in order.

        Options that are None have the pipeline's default. All texts are checked before the first is sent.

        Args:
            texts: any number of texts; an empty one is allowed.
            model: name of the pipeline.
            truncate: which end of a text to cut when it is too long, "end" or "start"; or "error", to refuse it.
            prompt_name: which of the pipeline's prompts to put before each text; "" for none.
            dimensions: shorten the vectors to this length, for models that were trained for it.
            normalize: whether to scale the vectors to unit length.
            output_dtype: "float32"; "int8", each vector scaled by itself, which keeps cosines; or "binary", one bit a
                component, eight in a byte, for Hamming distances.
            long_text: "chunk" to read a text that is too long in overlapping windows, in place of cutting it: its
                vector is the mean of theirs, weighted by their tokens, before it is shortened and normalised.
            overlap: tokens that two neighbouring windows share.
            progress: whether to show a progress bar on stderr.
            timeout_s: seconds that each request may take, with all its retries.
            priority: "interactive" for what somebody waits for, "bulk" for what may wait for that. Without it, lists of
                more than 1,024 texts, and texts that come from an iterator, are "bulk".

        Raises:
            InvalidInput: the client or the server refused a text or an option.
            ModelNotFound: the server has no such pipeline.
            InferenceFailed: the pipeline failed on a request.
            Unavailable: the server was down or overloaded, and stayed so through all retries.
            DeadlineExceeded: a request was not answered in time.
            ContractError: the model is no pipeline of encserve, or its answer broke the contract.
        """
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
        return self._whole(Call(embed_verb(output_dtype), as_sequence(texts), terms))

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
    ) -> Iterator[Embeddings]:
        """Embed texts as they come. Yields the embeddings of consecutive texts, in order; `start` tells the first.

        The texts may come from a generator, which is read as fast as the answers are taken. Arguments and errors are
        those of `embed`. The texts of a list are checked before the first is sent, others as they are read.
        """
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

    def embed_tokens(
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
        """Embed each token of texts, as late interaction needs it.

        Arguments that are not described here, and errors, are those of `embed`.

        Args:
            texts: any number of texts.
            model: name of the pipeline.
            truncate: which end of a text to cut when it is too long, "end" or "start"; or "error", to refuse it.
            prompt_name: a prompt of the checkpoint to put before each text, "" for none. Its tokens have vectors too,
                and the offsets -1.
            dimensions: shorten the vectors to this length, for models that were trained for it.
            normalize: whether to scale the vectors to unit length.
            progress: whether to show a progress bar on stderr.
            timeout_s: seconds that each request may take, with all its retries.
        """
        options = embed_tokens_options(
            truncate=truncate, prompt_name=prompt_name, dimensions=dimensions, normalize=normalize
        )
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s, priority=priority)
        return self._whole(Call(EMBED_TOKENS, as_sequence(texts), terms))

    def embed_sparse(
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
        """Embed texts as weighted tokens of the vocabulary, for an inverted index.

        Arguments that are not described here, and errors, are those of `embed`.

        Args:
            texts: any number of texts.
            model: name of the pipeline.
            top_k: how many of the heaviest tokens of each text; all without it.
            truncate: which end of a text to cut when it is too long, "end" or "start"; or "error", to refuse it.
            progress: whether to show a progress bar on stderr.
            timeout_s: seconds that each request may take, with all its retries.
        """
        options = embed_sparse_options(truncate=truncate, top_k=top_k)
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s, priority=priority)
        return self._whole(Call(EMBED_SPARSE, as_sequence(texts), terms))

    def classify(
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
        """Give texts, or pairs of texts, the labels of the pipeline, highest score first.

        Scores are probabilities where the checkpoint says so, of one label for each text or of each label by itself;
        a regression gives its numbers. Arguments that are not described here, and errors, are those of `embed`.

        Args:
            texts: any number of texts.
            model: name of the pipeline.
            text_pairs: the second text of each, for pipelines of pairs.
            top_k: how many labels for each text; all without it.
            truncate: which end of a text to cut when it is too long, "end" or "start"; or "error", to refuse it. Of a
                pair the longer text is cut.
            long_text: "chunk" to read a text that is too long in overlapping windows, in place of cutting it: its
                logits are the mean of theirs, weighted by their tokens. Not for pairs.
            overlap: tokens that two neighbouring windows share.
            progress: whether to show a progress bar on stderr.
            timeout_s: seconds that each request may take, with all its retries.
        """
        options = classify_options(truncate=truncate, top_k=top_k, long_text=long_text, overlap=overlap)
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s, priority=priority)
        texts, pairs = as_pairs(texts, text_pairs)
        return self._whole(Call(CLASSIFY, texts, terms, pairs=pairs))

    def rerank(
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
        """Order documents by how well they answer a query, best first.

        Arguments that are not described here, and errors, are those of `embed`.

        Args:
            query: one text.
            documents: any number of texts.
            model: name of the pipeline.
            top_k: how many documents the answer holds; all without it.
            truncate: which end to cut of the longer of query and document when both are too long together, "end" or
                "start"; or "error", to refuse them.
            progress: whether to show a progress bar on stderr.
            timeout_s: seconds that each request may take, with all its retries.
        """
        options = rerank_options(truncate=truncate, top_k=top_k)
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s, priority=priority)
        documents = as_sequence(documents, name="documents")
        return self._whole(Call(rerank_verb(top_k), documents, terms, shared=query))

    def classify_tokens(
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
        """Find the entities of texts, with their places as Python string indices.

        Arguments that are not described here, and errors, are those of `embed`.

        Args:
            texts: any number of texts.
            model: name of the pipeline.
            aggregation: "none" for a label of each token; "simple" to join neighbours of one label; "first", "average"
                or "max" to give each word the label of its first token, of the mean or of the surest one, and then
                join neighbours.
            truncate: which end of a text to cut when it is too long, "end" or "start"; or "error", to refuse it.
            long_text: "chunk" to read a text that is too long in overlapping windows, in place of cutting it: of
                what two windows share, each tells the half that is farther from its edge.
            overlap: tokens that two neighbouring windows share.
            progress: whether to show a progress bar on stderr.
            timeout_s: seconds that each request may take, with all its retries.
        """
        options = classify_tokens_options(
            truncate=truncate, aggregation=aggregation, long_text=long_text, overlap=overlap
        )
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s, priority=priority)
        return self._whole(Call(CLASSIFY_TOKENS, as_sequence(texts), terms))

    def answer(
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
        """Find the spans of a context that answer a question, best first, with their places as Python string indices.

        A context that is too long for the model is read in overlapping windows. Arguments that are not described here,
        and errors, are those of `embed`.

        Args:
            question: one text.
            context: the text that may hold the answer.
            model: name of the pipeline.
            top_k: how many spans.
            max_answer_length: tokens of the longest span.
            overlap: tokens that two neighbouring windows share.
            no_answer: whether "no answer", an empty span, competes with the others.
            progress: whether to show a progress bar on stderr.
            timeout_s: seconds that the request may take, with all its retries.
        """
        options = answer_options(top_k=top_k, max_answer_length=max_answer_length, overlap=overlap, no_answer=no_answer)
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s, priority=priority)
        return self._whole(Call(ANSWER, [context], terms, shared=question))

    def fill_mask(
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
        """Find the likeliest tokens for each mask of texts, such as "Paris is the [MASK] of France.".

        How a mask is written is up to the model. Arguments that are not described here, and errors, are those of
        `embed`.

        Args:
            texts: any number of texts, each with one mask or more.
            model: name of the pipeline.
            top_k: how many tokens for each mask.
            truncate: which end of a text to cut when it is too long, "end" or "start"; or "error", to refuse it.
            progress: whether to show a progress bar on stderr.
            timeout_s: seconds that each request may take, with all its retries.
        """
        options = fill_mask_options(truncate=truncate, top_k=top_k)
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s, priority=priority)
        return self._whole(Call(FILL_MASK, as_sequence(texts), terms))

    def score(
        self,
        texts: Iterable[str],
        *,
        model: str,
        truncate: str | None = None,
        progress: bool = False,
        timeout_s: float | None = None,
        priority: str | None = None,
    ) -> TextScores:
        """Tell how likely texts are to a masked language model: the pseudo-log-likelihood of Salazar et al. 2020.

        Each token is masked in turn, so a text costs as many texts as it has tokens. Arguments that are not described
        here, and errors, are those of `embed`.

        Args:
            texts: any number of texts, without masks.
            model: name of a pipeline for fill-mask.
            truncate: which end of a text to cut when it is too long, "end" or "start"; or "error", to refuse it.
            progress: whether to show a progress bar on stderr.
            timeout_s: seconds that each request may take, with all its retries.
        """
        terms = self._settings.terms(
            model, score_options(truncate=truncate), progress=progress, timeout_s=timeout_s, priority=priority
        )
        return self._whole(Call(SCORE, as_sequence(texts), terms))

    def classify_zero_shot(
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
        """Give texts labels that the model was not trained for: each label becomes a hypothesis that a text may entail.

        Arguments that are not described here, and errors, are those of `embed`.

        Args:
            texts: any number of texts.
            labels: any number of labels, each once.
            model: name of the pipeline.
            multi_label: whether each label is judged by itself; otherwise they share a probability of 1.
            hypothesis_template: a sentence with {} where the label goes, such as "This example is {}.".
            truncate: which end of a text to cut when it is too long, "end" or "start"; or "error", to refuse it.
            progress: whether to show a progress bar on stderr.
            timeout_s: seconds that each request may take, with all its retries.
        """
        count, options = classify_zero_shot_options(
            labels, truncate=truncate, multi_label=multi_label, hypothesis_template=hypothesis_template
        )
        terms = self._settings.terms(model, options, progress=progress, timeout_s=timeout_s, priority=priority)
        return self._whole(Call(classify_zero_shot_verb(count), as_sequence(texts), terms, rows_per_text=count))
