"""Texts as requests of a pipeline's task: what it is calibrated with, tried with and certified with."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from encserve_export.reference.messages import Asked

_MOST_TEXTS = 32
"""How many texts a request has at most; fewer where the limits allow fewer."""
_FEW = 8
"""How many texts are asked again with each set of options."""
_QUERY = 100
"""Characters of a query, which is part of every pair of its request."""
_BEGINNING_BYTES = 12
"""Bytes of a text that become a question: so few that there is room for them beside a context in any network."""
_QUERY_SIZES = (4, 12, 30, 60, None)
"""Characters of queries where these are texts by themselves; None for all."""
_AS_QUERIES = {"input_type": "query"}
_TEMPLATE = "About {}."


@dataclass(frozen=True, kw_only=True)
class Form:
    """What the requests of a pipeline look like."""

    task: str
    layout: str
    """Of its tokenize step."""
    max_length: int
    mask_token: str = ""
    """As a text shows it, of tasks with masks."""
    texts_per_request: int = _MOST_TEXTS
    labels: tuple[str, ...] = ("the weather", "money")
    """Of requests that bring their own."""

    @classmethod
    def within(cls, limits: Mapping[str, int], **known: Any) -> Form:
        """Requests within the `limits` of one, by the names of the tokenize step; `known` has the other fields."""
        rows = _LAYOUTS[known["layout"]].rows
        room = limits["max_tokens_per_request"] // (rows * limits["max_length"])
        size = max(1, min(_MOST_TEXTS, limits["max_texts_per_request"] // rows, room))
        return cls(**known, max_length=limits["max_length"], texts_per_request=size)


def questions_of(form: Form, texts: Sequence[str], options: Sequence[Mapping[str, Any]] = ()) -> list[Asked]:
    """Requests about `texts`: about every one with the defaults, and about a few of them again with each of `options`;
    of late interaction a third are queries, and the others documents."""
    return _asked(form, texts) + [
        Asked(request.inputs, {**request.options, **each}, variant=True)
        for each in options
        for request in _few_asked(form, texts)
        if request.count > 1 or "rank" not in each  # of a query alone there is no order
    ]


def inputs_at(form: Form, texts: Sequence[str], place: int) -> dict[str, list[str]]:
    """The inputs of the request at a place of `questions_of`, whatever its options are."""
    every, few = _asked(form, texts), _few_asked(form, texts)
    return (every[place] if place < len(every) else few[(place - len(every)) % len(few)]).inputs


def _asked(form: Form, texts: Sequence[str]) -> list[Asked]:
    layout = _LAYOUTS[form.layout]
    return [request for chunk in _chunks(form, texts) for request in layout.ask_all(form, chunk)]


def _few_asked(form: Form, texts: Sequence[str]) -> list[Asked]:
    few = [texts[len(texts) * place // _FEW] for place in range(_FEW)] if len(texts) > _FEW else texts
    return [_LAYOUTS[form.layout].ask(form, chunk) for chunk in _chunks(form, few)]


def _chunks(form: Form, texts: Sequence[str]) -> list[list[str]]:
    size = form.texts_per_request
    return [list(texts[begin : begin + size]) for begin in range(0, len(texts), size)]


_Ask: TypeAlias = Callable[[Form, list[str]], Asked]


@dataclass(frozen=True)
class _Layout:
    ask: _Ask
    rows: int = 1
    """Rows of tokens that a text can become."""
    ask_third: _Ask | None = None
    """How the last third of the texts is asked about, where that is otherwise."""

    def ask_all(self, form: Form, texts: list[str]) -> list[Asked]:
        """Requests about all of `texts`, which one could carry."""
        kept = len(texts) - len(texts) // 3
        if self.ask_third is None or kept == len(texts):
            return [self.ask(form, texts)]
        return [self.ask(form, texts[:kept]), self.ask_third(form, texts[kept:])]


def _single_texts(form: Form, texts: list[str]) -> Asked:
    return Asked({"text": texts})


def _queries(form: Form, texts: list[str]) -> Asked:
    """Beginnings of texts of several lengths, as queries are short, and some texts as they stand."""
    sizes = itertools.cycle(_QUERY_SIZES)
    return Asked({"text": [text[:size].strip() or text for text, size in zip(texts, sizes, strict=False)]}, _AS_QUERIES)


def _text_pairs(form: Form, texts: list[str]) -> Asked:
    if form.task == "text-ranking":
        return Asked({"text": [texts[0][:_QUERY] or "a"], "text_pair": texts})
    others = texts[len(texts) // 3 :] + texts[: len(texts) // 3]  # pairs of all kinds of lengths
    # transformers' pipeline takes an empty second text for none at all
    return Asked({"text": texts, "text_pair": [other or "a" for other in others]})


def _context_windows(form: Form, texts: list[str]) -> Asked:
    contexts = [(text if text.strip() else "a")[: 2 * form.max_length] for text in texts]
    return Asked({"text": _beginnings(form, texts), "text_pair": contexts})


def _masked_texts(form: Form, texts: list[str]) -> Asked:
    mask = form.mask_token
    several = (index % 3 == 0 for index in range(len(texts)))
    return Asked(
        {
            "text": [
                f"{mask} {text[:1]} {mask} {text[1:]}" if more else f"{mask}{text}"
                for text, more in zip(texts, several, strict=True)
            ]
        }
    )


def _hypotheses(form: Form, texts: list[str]) -> Asked:
    options = {"labels": list(form.labels), "hypothesis_template": _TEMPLATE}
    return Asked({"text": [text or "a" for text in texts]}, options)


def _labelled_words(form: Form, texts: list[str]) -> Asked:
    return Asked({"text": [text if text.strip() else "a" for text in texts]}, {"labels": list(form.labels)})


def _beginnings(form: Form, texts: list[str]) -> list[str]:
    """For each text the beginning of another: a question that belongs to the same part of the corpus."""
    others = texts[len(texts) // 2 :] + texts[: len(texts) // 2]
    most = max(1, min(_BEGINNING_BYTES, form.max_length // 8))
    return [other.encode()[:most].decode("utf-8", errors="ignore").strip() or "a" for other in others]


ALONE_IN_ITS_ROW = (
    "queries_and_documents",
    "queries_by_table",
    "single_texts",
    "tagged_texts",
    "texts_in_spans",
    "texts_with_vectors",
)
"""Layouts of rows that hold nothing but one text, which may be of no tokens where a tokenizer adds none."""

_LAYOUTS = {
    "context_windows": _Layout(_context_windows, rows=16),
    "hypotheses": _Layout(_hypotheses, rows=2),
    "gliner2_texts": _Layout(_labelled_words),
    "labelled_words": _Layout(_labelled_words),
    "masked_texts": _Layout(_masked_texts),
    "queries_by_table": _Layout(_single_texts, ask_third=_queries),
    "queries_and_documents": _Layout(_single_texts, ask_third=_queries),
    "single_texts": _Layout(_single_texts),
    "tagged_texts": _Layout(_single_texts),
    "texts_in_spans": _Layout(_single_texts),
    "texts_with_vectors": _Layout(_single_texts),
    "templated_pairs": _Layout(_text_pairs),
    "text_pairs": _Layout(_text_pairs),
}
"""By the layout of the tokenize step."""
