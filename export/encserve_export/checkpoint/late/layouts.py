"""The files that state late interaction: sentence-transformers' own, and those of PyLate, which stand beside each other
in `config_sentence_transformers.json`."""

from __future__ import annotations

import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from encserve_export.checkpoint.unread.checking import check_keys
from encserve_export.checkpoint.unread.keys import MASK_KEYS
from encserve_export.errors import CheckpointError, Unsupported
from encserve_export.json_file import read_needed_object

from .interaction import Expansion, LateInteraction, Side

PYLATE, OWN = "ColBERT", "MultiVectorEncoder"
"""The values of `model_type` by which PyLate and sentence-transformers state it."""
PYLATE_KEYS = (
    "query_prefix",
    "document_prefix",
    "query_length",
    "document_length",
    "do_query_expansion",
    "attend_to_expansion_tokens",
    "skiplist_words",
)
_SCORES = {None: False, "cosine": False, "maxsim": False, "MaxSim": False, "meanmaxsim": True}
"""`similarity_fn_name` -> whether a score is divided by the vectors of its query."""
_DOCUMENTS = ("document", "passage", "corpus")
"""The names of a document's prompt, the first that is there."""


def of_pylate(file: Path, stated: Mapping[str, Any]) -> LateInteraction:
    """What PyLate wrote into `file`: markers as tokens, lengths, expansion, and words without vectors in documents.

    Raises:
        CheckpointError: it lacks a length or a marker, for which PyLate and sentence-transformers have other defaults,
            or a value is none.
        Unsupported: a prompt beside the markers, which the two read differently.
    """
    needed = ("query_prefix", "document_prefix", "query_length", "document_length")
    if lacking := [key for key in needed if stated.get(key) is None]:
        raise CheckpointError(f"{file} is PyLate's and does not state {', '.join(lacking)}")
    if any((stated.get("prompts") or {}).values()) or stated.get("default_prompt_name"):
        raise Unsupported(f"{file} states prompts beside PyLate's markers, which is not supported")
    length = _length(file, "query_length", stated["query_length"])
    words = stated.get("skiplist_words")
    query, document = (_text(file, key, stated[key]) for key in ("query_prefix", "document_prefix"))
    expansion = None
    if stated.get("do_query_expansion") is not False:
        expansion = Expansion(length=length, fixed=True, attended=bool(stated.get("attend_to_expansion_tokens")))
    return LateInteraction(
        query=Side(marker=query, max_length=length),
        document=Side(
            marker=document,
            max_length=_length(file, "document_length", stated["document_length"]),
            skipped_words=tuple(string.punctuation) if words is None else _words(file, words),
        ),
        expansion=expansion,
        mean=_is_mean(file, stated),
    )


def of_sentence_transformers(
    file: Path, stated: Mapping[str, Any], transformer: Mapping[str, Any], mask: Path | None
) -> LateInteraction:
    """What sentence-transformers wrote: prompts and the kind of score into `file`, lengths and expansion among the
    settings of the Transformer, and the words without vectors into the folder `mask`.

    Raises:
        CheckpointError: a value is none.
        Unsupported: an expansion that no MultiVectorMask counts, a prompt for texts of no kind, or a setting that is
            not offered.
    """
    if stated.get("default_prompt_name"):
        raise Unsupported(
            f"{file} states 'default_prompt_name': {stated['default_prompt_name']!r}, for texts that are neither query "
            "nor document, which is not supported"
        )
    prompts = stated.get("prompts") or {}
    skipped = _skipped(mask) if mask else {}
    sides = {
        "query": prompts.get("query"),
        "document": next((prompts[name] for name in _DOCUMENTS if name in prompts), None),
    }
    expansion = _expansion(file, transformer.get("query_expansion"))
    if expansion and mask is None:
        raise Unsupported("queries are filled up, and no MultiVectorMask has the vectors of that count")
    query, document = (
        Side(
            prompt=prompt or "",
            max_length=_length(file, f"{name}_length", transformer.get(f"{name}_length")),
            skipped_words=skipped.get(name, ()),
        )
        for name, prompt in sides.items()
    )
    if expansion and query.max_length is not None and query.max_length < expansion.length:
        raise CheckpointError(
            f"query_length is {query.max_length} and query_expansion fills queries up to {expansion.length}"
        )
    return LateInteraction(query=query, document=document, expansion=expansion, mean=_is_mean(file, stated))


def _expansion(file: Path, stated: Any) -> Expansion | None:
    if stated is None:
        return None
    check_keys(file, stated, ("strategy", "length", "attend", "token"), ())
    if stated.get("strategy") not in ("fixed", "min"):
        raise Unsupported(f"query_expansion has strategy {stated.get('strategy')!r}; supported are 'fixed' and 'min'")
    length = _length(file, "length of query_expansion", stated.get("length"))
    if length is None:
        raise CheckpointError("query_expansion states no length")
    return Expansion(
        length=length,
        fixed=stated["strategy"] == "fixed",
        attended=bool(stated.get("attend", False)),
        token=None if stated.get("token") is None else _text(file, "token of query_expansion", stated["token"]),
    )


def _skipped(folder: Path) -> dict[str, tuple[str, ...]]:
    """The words without vectors that a MultiVectorMask states, by the kind of text."""
    file = folder / "config.json"
    stated = read_needed_object(file)
    check_keys(file, stated, ("skiplist_words", "skiplist_tasks"), MASK_KEYS)
    tasks, words = stated.get("skiplist_tasks"), stated.get("skiplist_words") or []
    tasks = ["document"] if tasks is None else [tasks] if isinstance(tasks, str) else tasks
    if foreign := sorted({*tasks} - {"query", "document"}):
        raise Unsupported(f"{file} states skiplist_tasks {foreign}; supported are 'query' and 'document'")
    return {task: _words(file, words) for task in tasks}


def _length(file: Path, name: str, value: Any) -> Any:
    """A length in tokens; None where none is stated. Raises CheckpointError for anything else."""
    if value is not None and (type(value) is not int or value < 1):
        raise CheckpointError(f"{file} states {name} {value!r}; a number of tokens is expected")
    return value


def _text(file: Path, name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise CheckpointError(f"{file} states {name} {value!r}; a text is expected")
    return value


def _words(file: Path, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
        raise CheckpointError(f"{file} states skiplist_words {value!r}; a list of texts is expected")
    return tuple(value)


def _is_mean(file: Path, stated: Mapping[str, Any]) -> bool:
    name = stated.get("similarity_fn_name")
    if name not in _SCORES:
        known = ", ".join(repr(each) for each in _SCORES)
        raise Unsupported(
            f"{file} states 'similarity_fn_name': {name!r}, which is not supported; supported are {known}"
        )
    return _SCORES[name]
