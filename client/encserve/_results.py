"""What the clients return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from encserve._errors import InvalidInput
from encserve._max_sim import max_sim
from encserve._token_pooling import SMALLEST_NORM, clusters_of


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """What every answer has besides its own fields: counts of consecutive texts, in their order, and which pipeline
    answered."""

    token_counts: NDArray[np.int32]
    """Tokens of each text, or pair of texts, that the network saw, special tokens among them, (n,)."""
    dropped_counts: NDArray[np.int32]
    """Tokens of each text that were cut because it was too long, (n,). Zero: the answer is about the whole text."""
    window_counts: NDArray[np.int32]
    """Windows in which each text was read, (n,): one, unless it was too long and `long_text="chunk"` was asked for; a
    long context of a question always gets as many as it needs."""
    model: str
    """The pipeline that answered."""
    version: str
    """The version that answered; empty for an empty list of texts, about which no server was asked."""
    certificate: str
    """SHA-256 of the pipeline's manifest: names the exact files and the parity numbers behind the answer."""
    relaxed: tuple[str, ...] = ()
    """The limits of that certificate that were relaxed when it was made; empty where it was held to all."""
    start: int = 0
    """Index, in the whole call, of the first text."""

    def __len__(self) -> int:
        """The number of texts."""
        return len(self.token_counts)


@dataclass(frozen=True, kw_only=True, eq=False)
class Embeddings(Answer):
    """Vectors of texts, one row per text."""

    vectors: NDArray[Any]
    """The embeddings: float32 or int8 (n, dim), or bits in uint8 (n, dim / 8)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenEmbeddings(Answer):
    """One vector for each token of texts, special tokens among them."""

    vectors: list[NDArray[Any]]
    """For each text an array of shape (t, dim), float32 or int8, or of binary vectors (t, dim / 8), uint8: those of its
    t tokens."""
    offsets: list[NDArray[np.int32]]
    """For each text an array of shape (t, 2), int32: where each token begins and ends, as indices into the Python
    string; -1 for special tokens."""

    def pooled(self, pool_factor: float, *, protected: int = 1, normalize: bool = False) -> TokenEmbeddings:
        """These with fewer vectors for each text, as a smaller index keeps documents of late interaction: those of
        similar tokens become their mean, by Ward's criterion on cosine distances, as in PyLate.

        Args:
            pool_factor: By how much fewer, 1 or more: of t vectors max(1, floor(t / pool_factor)) are left.
            protected: How many vectors at the beginning stay as they are, beside those: that of the first special
                token, as a rule.
            normalize: Whether each vector is brought to length one at last, as sentence-transformers does it.

        Returns the vectors in the order of the first token of each, (t', dim) float32; the offsets of those that stand
        for several tokens are -1. The counts are of the texts, as before.

        Raises:
            InvalidInput: the factor is less than 1, `protected` less than 0, or the vectors are not float32.
        """
        if not (isinstance(pool_factor, int | float) and 1 <= pool_factor < float("inf")):
            raise InvalidInput(f"pool_factor is {pool_factor!r}, expected a number, 1 or more")
        if type(protected) is not int or protected < 0:
            raise InvalidInput(f"protected is {protected!r}, expected a whole number, 0 or more")
        vectors, offsets = [], []
        for own, places in zip(self.vectors, self.offsets, strict=True):
            if own.dtype != np.float32:
                raise InvalidInput(f"the vectors are {own.dtype}, expected float32, from which shorter types follow")
            clusters = clusters_of(own, pool_factor, protected)
            means = np.array([own[cluster].mean(axis=0) for cluster in clusters], np.float32).reshape(-1, own.shape[1])
            if normalize:
                means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), SMALLEST_NORM)
            vectors.append(means)
            kept = [places[cluster[0]] if len(cluster) == 1 else (-1, -1) for cluster in clusters]
            offsets.append(np.array(kept, np.int32).reshape(-1, 2))
        return replace(self, vectors=vectors, offsets=offsets)

    def scores(self, documents: TokenEmbeddings | Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Score documents whose vectors were kept, for these texts, which are queries: MaxSim, as `rerank` computes it
        in the server of texts.

        Args:
            documents: Embeddings of the documents, by the same pipeline; `pooled` ones too. Or their vectors alone, as
                an index gives them back: for each document an array (tokens, dim), float32.

        Returns the scores, (queries, documents). Where a checkpoint says `meanmaxsim`, those of `rerank` are these by
        the number of the query's vectors.

        Raises:
            InvalidInput: The pipelines differ, or the vectors are no float32 arrays of two dimensions or of different
                lengths.
        """
        if isinstance(documents, TokenEmbeddings):
            check_same_version(self, documents)
            documents = documents.vectors
        return max_sim(self.vectors, documents)


def check_same_version(queries: Answer, documents: Answer) -> None:
    """Raise InvalidInput where two versions answered, whose vectors do not compare; no texts are by no version."""
    ours, theirs = (queries.model, queries.version), (documents.model, documents.version)
    if len(queries) and len(documents) and ours != theirs:
        raise InvalidInput(
            f"the queries are by {queries.model} version {queries.version}, the documents by {documents.model} version "
            f"{documents.version}: their vectors do not compare"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class SparseEmbeddings(Answer):
    """Texts as weighted tokens of the model's vocabulary, heaviest first."""

    token_ids: list[NDArray[np.int32]]
    """For each text an array of shape (terms,), int32: the ids of its terms."""
    weights: list[NDArray[np.float32]]
    """For each text an array of shape (terms,), float32: the weights of its terms. All are above zero, but for
    those that a table of weights has for queries."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Classifications(Answer):
    """Labels of texts, highest score first."""

    labels: list[tuple[str, ...]]
    """The k labels of each text."""
    scores: NDArray[np.float32]
    """The score of each label, (n, k)."""
    probabilities: NDArray[np.float32] | None = None
    """The probability of each label, (n, k), where it was asked for: how often a label is right that has it, by the
    texts that the pipeline was calibrated on."""
    decisions: list[str] | None = None
    """Of a cascade, who decided about each text: "small" or "large", the one pipeline or the other; or "review", the
    large one, where it was unsure too and a person should see the text. None of other pipelines."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking(Answer):
    """Documents by descending score. The counts are of the documents with their query, in the order of the call."""

    indices: NDArray[np.int32]
    """Which document stands at each place, by its index in the call, (k,)."""
    scores: NDArray[np.float32]
    """The score of the document at each place, (k,)."""


@dataclass(frozen=True)
class Entity:
    """A span of a text that has a label."""

    label: str
    score: float
    text: str
    start: int
    """Where it begins, as a Python index into the text."""
    end: int
    """Where it ends: `text[start:end]` is the entity."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenClassifications(Answer):
    """The entities of texts."""

    entities: list[list[Entity]]
    """For each text a list of its entities, in the order in which they stand in it."""


@dataclass(frozen=True)
class Span:
    """A span of a context that answers a question; empty, from 0 to 0, where there is no answer."""

    text: str
    score: float
    start: int
    """Where it begins, as a Python index into the context."""
    end: int
    """Where it ends: `context[start:end]` is the answer."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers(Answer):
    """The best spans for questions, highest score first."""

    spans: list[list[Span]]
    """For each question a list of its best spans."""
    no_answer_scores: NDArray[np.float32]
    """The score of there being no answer, (n,). Only models that were trained with unanswerable questions know it."""


@dataclass(frozen=True)
class Fill:
    """A token in the place of a mask."""

    token: str
    token_id: int
    score: float


@dataclass(frozen=True, kw_only=True, eq=False)
class MaskFills(Answer):
    """The likeliest tokens for the masks of texts, highest score first."""

    masks: list[list[list[Fill]]]
    """For each text a list that has, for each of its masks, a list of the likeliest tokens."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TextScores(Answer):
    """How likely texts are to a masked language model."""

    log_likelihoods: NDArray[np.float32]
    """The pseudo-log-likelihood of each text: the sum, over its tokens, of the natural logarithm of the probability of
    that token where it alone is masked, (n,)."""
    scored_counts: NDArray[np.int32]
    """How many tokens of each text are in the sum, (n,): all that the network saw but the special ones."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Generations(Answer):
    """New texts that were made of texts."""

    texts: list[str]
    """What was made of each text."""
    finishes: list[str]
    """Why each ended: "eos", the model ended it; "stop", it came to a string at which it should; "length", it had
    `max_new_tokens`."""
    output_token_counts: NDArray[np.int32]
    """Tokens that were made of each text, with the one that ended it, (n,)."""


Part = TypeVar("Part", bound=Answer)


class Gather(Protocol[Part]):
    """Takes the parts of a call, in order, and makes one of them."""

    def put(self, part: Part) -> None:
        """Take the next part."""

    @property
    def whole(self) -> Part | None:
        """All parts as one; None where there was none."""


def _own(value: Any) -> Any:
    """An array, or a list and the arrays in it, that shares nothing with those of a part; other values as they are."""
    if isinstance(value, np.ndarray):
        return value.copy()
    return [_own(each) for each in value] if isinstance(value, list) else value


class Rows(Generic[Part]):
    """The rows of a whole call, in arrays that are allocated once, with the first part, and in lists."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self.whole: Part | None = None

    def put(self, part: Part) -> None:
        """Copy a part to its rows, be it the only one: its arrays may be those of a transport, which keeps them."""
        if self.whole is None and len(part) == self._rows:
            self.whole = replace(part, **{name: _own(value) for name, value in vars(part).items()})
            return
        if self.whole is None:
            self.whole = replace(part, **{name: self._room_for(value) for name, value in vars(part).items()})
        rows = slice(part.start, part.start + len(part))
        for name, value in vars(self.whole).items():
            if isinstance(value, np.ndarray):
                value[rows] = getattr(part, name)
            elif isinstance(value, list):
                value.extend(_own(getattr(part, name)))

    def _room_for(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return np.empty((self._rows, *value.shape[1:]), value.dtype)
        return [] if isinstance(value, list) else value


def join(parts: Sequence[Part]) -> Part:
    """Several answers of one kind as one; what is no array and no list is taken from the first."""

    def joined(name: str, value: Any) -> Any:
        values = [getattr(part, name) for part in parts]
        if isinstance(value, np.ndarray):
            return np.concatenate(values)
        return [item for each in values for item in each] if isinstance(value, list) else value

    first = parts[0]
    return replace(first, **{name: joined(name, value) for name, value in vars(first).items()})


def texts_of(part: Part, begin: int, end: int, *, start: int) -> Part:
    """The answer about the texts from `begin` to `end` of a part, as texts `start` and later of a call.

    Arrays are copied, so that one text's answer does not keep those of all others in memory. `Ranking` has no such
    parts.
    """

    def own(value: Any) -> Any:
        return _own(value[begin:end] if isinstance(value, np.ndarray | list) else value)

    return replace(part, **{name: own(value) for name, value in vars(part).items()} | {"start": start})
