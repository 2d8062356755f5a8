"""The files that sentence-transformers puts beside a checkpoint: what stands behind the network, prompts, lengths."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn
from transformers import PreTrainedConfig

from encserve_export.checkpoint.late.interaction import LateInteraction
from encserve_export.checkpoint.late.layouts import OWN, PYLATE, PYLATE_KEYS, of_pylate, of_sentence_transformers
from encserve_export.checkpoint.late.stanford import ARCHITECTURE, is_stanford, read_metadata, read_projection
from encserve_export.checkpoint.rerankers.logit_score import LogitScore
from encserve_export.checkpoint.unread.checking import check_keys
from encserve_export.checkpoint.unread.keys import SENTENCE_KEYS
from encserve_export.errors import CheckpointError, Unsupported
from encserve_export.json_file import read_object

from .listed import listed_modules
from .model2vec import is_model2vec, normalizes
from .order import fields_of
from .query_table import QueryTable, read_query_table, side_prompts
from .transformer_settings import TransformerSettings

_SETTINGS = "config_sentence_transformers.json"
_SETTINGS_READ = ("model_type", "prompts", "default_prompt_name", "activation_fn")
_LATE = "late-interaction"
_STATED_TASKS = {
    "CrossEncoder": "text-ranking",
    "SparseEncoder": "sparse-embedding",
    OWN: _LATE,
    PYLATE: _LATE,
}


@dataclass(frozen=True)
class SentenceModules:
    """What turns token vectors into a sentence embedding."""

    token_dense: tuple[nn.Module, ...] = ()
    """Layers on the vectors of tokens, before any pooling."""
    token_normalize: bool = False
    """Whether the vectors of tokens are brought to length one, after those layers."""
    pooling: str = "mean"
    pools_prompt: bool = True
    """Whether the tokens of a prompt are pooled with those of its text."""
    dense: tuple[nn.Module, ...] = ()
    """Layers on the pooled vector, in their order: linear ones, and norms."""
    scores: bool = False
    """Whether the last of these gives the scores of a pair, as in a cross-encoder without a head of its own."""
    normalize: bool = False
    """Whether the vector of a text is brought to length one, after those layers."""
    transformer: TransformerSettings = field(default_factory=TransformerSettings)
    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    """The prompt of requests that choose none; None where they get none."""
    logit_score: LogitScore | None = None
    """The words of whose logits a language model's score is made."""
    activation: str | None = None
    """Class that makes scores of a cross-encoder's logits."""
    splade: str = "relu"
    """How a sparse encoder makes weights of logits, as sentence-transformers calls it."""
    table: QueryTable | None = None
    """What answers the queries of a sparse encoder without a network; None where the network does."""
    side_prompts: dict[str, str] = field(default_factory=dict)
    """Beside such a table the prompt that a query and a document get by default, by name; empty for none."""
    late: LateInteraction | None = None
    """What becomes of queries and of documents, where they meet token by token."""

    @property
    def pools_by_mean(self) -> bool:
        """Whether the vector of a text is the mean of its tokens' and nothing more, so that the mean over a part of
        them is the vector of that part."""
        return self.pooling == "mean" and self.pools_prompt and not self.dense and not self.token_normalize


def read_sentence_modules(folder: Path, *, allow_pickle: bool = False) -> SentenceModules:
    """Read `modules.json` and the files it names; the defaults of sentence-transformers where there is none.

    Raises:
        Unsupported: a module, an order of modules or a setting that is not offered.
        CheckpointError: a file that is named but missing, or a pickle that is not allowed.
    """
    if not (folder / "modules.json").is_file():
        if is_stanford(folder):
            return _of_stanford(folder, allow_pickle=allow_pickle)
        return SentenceModules(normalize=is_model2vec(folder) and normalizes(folder))
    file = folder / _SETTINGS
    stated = read_object(file)
    kind = stated.get("model_type")
    listed = listed_modules(folder)
    layers = fields_of(folder, listed, allow_pickle=allow_pickle, late=kind in (OWN, PYLATE), pylate=kind == PYLATE)
    mask = layers.pop("mask", None)
    if kind == PYLATE:
        check_keys(file, stated, (*_SETTINGS_READ, *PYLATE_KEYS), SENTENCE_KEYS)
        return SentenceModules(**layers | {"token_normalize": True}, late=of_pylate(file, stated))
    settings = _settings(folder)
    if listed.table is not None:
        by_default = listed.queries_by_default
        table = read_query_table(folder / listed.table, allow_pickle=allow_pickle, queries_by_default=by_default)
        asked = side_prompts(settings["prompts"], stated.get("prompts") or {}, settings["default_prompt_name"])
        layers |= {"table": table, "side_prompts": asked}
    if kind == OWN:
        sides = layers["transformer"].of_sides if "transformer" in layers else {}
        late = of_sentence_transformers(file, stated, sides, mask)
        return SentenceModules(**layers, activation=settings["activation"], late=late)
    return SentenceModules(**layers, **settings)


def _of_stanford(folder: Path, *, allow_pickle: bool) -> SentenceModules:
    late = read_metadata(folder)
    projection = read_projection(folder, allow_pickle=allow_pickle)
    return SentenceModules(token_dense=(projection,), token_normalize=True, late=late)


def check_modules(modules: SentenceModules, task: str, *, prompts: bool) -> None:
    """Check that `task` uses what the modules ask for; `prompts` says whether it offers prompts.

    Raises:
        Unsupported: a part of them would be lost.
    """
    if modules.late and task != _LATE:
        raise Unsupported(
            f"the checkpoint is for late interaction: it reads queries and documents in ways of their own, which "
            f"{task} does not offer; --task {_LATE} serves it"
        )
    if task == _LATE and not modules.late:
        raise Unsupported(
            "the checkpoint does not say how it reads queries and documents, as PyLate, sentence-transformers "
            f"(MultiVectorEncoder) and Stanford's ColBERT do, which {_LATE} needs"
        )
    if modules.table and task != "sparse-embedding":
        raise Unsupported(
            f"the checkpoint answers queries by a table of the tokens' weights, which {task} does not offer; "
            "--task sparse-embedding serves it"
        )
    if modules.token_normalize and task == "feature-extraction":
        raise Unsupported(
            "the checkpoint normalises the vectors of its tokens and pools none; --task token-embedding serves them"
        )
    if modules.transformer.messages and task != "text-ranking":
        raise Unsupported(f"the checkpoint puts texts into a chat template, which {task} does not offer")
    if modules.logit_score and task != "text-ranking":
        raise Unsupported(f"the checkpoint makes scores of a language model's logits, which {task} does not offer")
    if not modules.pools_prompt and task == "text-ranking":
        raise Unsupported("the checkpoint leaves prompts out of its pooling, which text-ranking does not offer")
    if modules.scores and task != "text-ranking":
        raise Unsupported(f"the checkpoint makes the score of a pair of a pooled vector, which {task} does not offer")
    if modules.default_prompt_name and not prompts:
        raise Unsupported(
            f"the checkpoint puts its prompt {modules.default_prompt_name!r} before each text, which {task} does not "
            "offer"
        )


def stated_task(folder: Path, config: PreTrainedConfig) -> tuple[str, str] | None:
    """The task that the files of sentence-transformers state, and where; None where they state none."""
    kind = read_object(folder / _SETTINGS).get("model_type")
    if kind in _STATED_TASKS:
        return _STATED_TASKS[kind], _SETTINGS
    if not (folder / "modules.json").is_file() and is_stanford(folder):
        return _LATE, f"config.json, architecture {ARCHITECTURE}"
    if is_model2vec(folder):
        return "feature-extraction", "config.json of model2vec"
    if getattr(config, "sentence_transformers", None) and config.num_labels == 1:
        return "text-ranking", "config.json, which a CrossEncoder wrote"
    if (folder / "modules.json").is_file():
        return "feature-extraction", "modules.json"
    return None


def _settings(folder: Path) -> dict[str, Any]:
    """The fields of SentenceModules that `config_sentence_transformers.json` decides on."""
    stated = read_object(folder / _SETTINGS)
    check_keys(folder / _SETTINGS, stated, _SETTINGS_READ, SENTENCE_KEYS)
    prompts = {name: text for name, text in (stated.get("prompts") or {}).items() if text}
    for name, text in prompts.items():
        if not isinstance(text, str):
            raise CheckpointError(f"{folder / _SETTINGS} has the prompt {name!r}: {text!r}, which is no text")
    default = stated.get("default_prompt_name")
    return {
        "prompts": prompts,
        "default_prompt_name": default if default in prompts else None,  # one without text puts nothing before a text
        "activation": stated.get("activation_fn"),
    }
