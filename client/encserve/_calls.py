"""From the arguments of a client's method to a `Call`: what both clients do before anything is sent."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from encserve._conversation.call import Call, Texts
from encserve._conversation.deadline import Deadline, check_timeout
from encserve._conversation.settings import Settings, check_caller
from encserve._errors import InvalidInput
from encserve._kept_documents import Documents, KeptDocuments
from encserve._results import Answers, Classifications, Part, Ranking, TokenClassifications, TokenEmbeddings
from encserve._texts import as_pairs, as_sequence
from encserve._trace import trace_metadata
from encserve._verbs.answer import ANSWER
from encserve._verbs.classify import CLASSIFY
from encserve._verbs.classify_zero_shot import CLASSIFY_ZERO_SHOT, labels_parameter
from encserve._verbs.entities.extract import EXTRACT_ENTITIES
from encserve._verbs.options import CallOptions, options_of
from encserve._verbs.rerank import RERANK, of_kept
from encserve._verbs.table import VERBS
from encserve._verbs.verb import Verb

T = TypeVar("T")


@dataclass(frozen=True)
class Calls:
    """Makes the calls of one client, with its settings."""

    settings: Settings

    def deadline(self, timeout_s: float | None) -> Deadline:
        """The end of a call that begins now, with its own timeout or the client's. Raises InvalidInput."""
        return Deadline(self.settings.timeout_s if timeout_s is None else check_timeout(timeout_s))

    def about(
        self, verb: Verb[Part], texts: Texts, model: str, keywords: Mapping[str, Any], **further: Any
    ) -> Call[Part]:
        """A call about texts; `further` are fields of `Call`. Raises InvalidInput; TypeError for what is no option."""
        given = verb.given(keywords)
        timeout_s, priority = keywords.get("timeout_s"), keywords.get("priority")
        for name in ("priority", "version"):
            if keywords.get(name) is not None:
                options_of(CallOptions)[name].checked(keywords[name])
        check_caller(caller := keywords.get("caller"))
        return Call(
            verb=verb,
            model=model,
            texts=texts,
            end=self.deadline(timeout_s),
            timeout_is_its_own=timeout_s is not None,
            priority=priority,
            caller=self.settings.caller if caller is None else caller,
            version_wanted=keywords.get("version"),
            progress=bool(keywords.get("progress", False)),
            metadata=trace_metadata(),
            by_text=verb.by_text(keywords),
            **{"given": given, **further},
        )

    def about_list(self, verb: Verb[Part], texts: Iterable[str], model: str, keywords: Mapping[str, Any]) -> Call[Part]:
        """A call about texts that are all there."""
        return self.about(verb, as_sequence(texts), model, keywords)

    def classify(
        self, texts: Iterable[str], pairs: Iterable[str] | None, model: str, keywords: Mapping[str, Any]
    ) -> Call[Classifications]:
        """A call about texts, or texts and the second one of each."""
        firsts, seconds = as_pairs(texts, pairs)
        return self.about(CLASSIFY, firsts, model, keywords, pairs=seconds)

    def classify_zero_shot(
        self, texts: Iterable[str], labels: Iterable[str], model: str, keywords: Mapping[str, Any]
    ) -> Call[Classifications]:
        """A call about texts and the labels that they may get."""
        given = {"labels": labels_parameter(labels), **CLASSIFY_ZERO_SHOT.given(keywords)}
        return self.about(CLASSIFY_ZERO_SHOT, as_sequence(texts), model, keywords, given=given)

    def extract_entities(
        self, texts: Iterable[str], labels: Iterable[str], model: str, keywords: Mapping[str, Any]
    ) -> Call[TokenClassifications]:
        """A call about texts and the labels that parts of them may get."""
        given = {"labels": labels_parameter(labels), **EXTRACT_ENTITIES.given(keywords)}
        return self.about(EXTRACT_ENTITIES, as_sequence(texts), model, keywords, given=given)

    def rerank(self, query: str, documents: Documents, model: str, keywords: Mapping[str, Any]) -> Call[Ranking]:
        """A call about documents, each with the query before it; or about vectors of theirs that were kept."""
        by = documents if isinstance(documents, TokenEmbeddings) else None
        texts: Sequence[Any] = as_sequence(documents if by is None else by.vectors, name="documents")  # type: ignore[arg-type]
        kind = keywords.get("document_vectors")
        if not any(isinstance(each, np.ndarray) for each in texts):
            return self.about(RERANK if kind is None else of_kept(), texts, model, keywords, shared=query)
        kept = KeptDocuments.of_arrays(texts)
        if kind not in (None, kept.kind):
            raise InvalidInput(f"document_vectors is {kind!r}, and the documents are arrays of {kept.kind} vectors")
        verb, keywords = of_kept(kept.columns, by), {**keywords, "document_vectors": kept.kind}
        return self.about(verb, kept.texts, model, keywords, shared=query)

    def answer(self, question: str, context: str, model: str, keywords: Mapping[str, Any]) -> Call[Answers]:
        """A call about one context, with the question before it."""
        return self.about(ANSWER, [context], model, keywords, shared=question)


def refuse_async(texts: object) -> None:
    """Refuse an asynchronous iterator where there is no event loop to read it. Raises InvalidInput."""
    if isinstance(texts, AsyncIterable):
        raise InvalidInput("texts is an asynchronous iterator, which only AsyncClient.embed_iter can read")


def documented(cls: type[T]) -> type[T]:
    """Give the methods of a client their documentation out of the table of verbs."""
    for name, verb in VERBS.items():
        getattr(cls, name).__doc__ = verb.documentation()
    return cls
