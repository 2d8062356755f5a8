"""The tasks that are served: how each network is loaded, what it gives, and which server steps stand around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import transformers
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from .errors import CheckpointError, Unsupported
from .sentence_modules import SentenceModules

INT32, INT64, FP32, BYTES = "INT32", "INT64", "FP32", "BYTES"

TENSORS: dict[str, tuple[str, int]] = {
    "text": (BYTES, 1),
    "text_pair": (BYTES, 1),
    "input_ids": (INT64, 1),
    "lengths": (INT64, 1),
    "token_type_ids": (INT64, 1),
    "token_count": (INT32, 1),
    "dropped_count": (INT32, 1),
}
"""Tensor between client and steps -> its type and its dimensions beside the leading one. What only one task has stands
in the task."""

COUNTS = ("token_count", "dropped_count")


Settings: TypeAlias = Callable[[PreTrainedConfig, SentenceModules, PreTrainedTokenizerBase], Mapping[str, Any]]


def _no_settings(
    config: PreTrainedConfig, modules: SentenceModules, tokenizer: PreTrainedTokenizerBase
) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task, in Hugging Face's name for it."""

    name: str
    network: type[Any]
    """The class of transformers that loads the network with its head."""
    output: str
    """Name of the graph's output."""
    follows: str = "lengths"
    """The input of the graph of which the output has a row for each element: "lengths" means a row for each text."""
    pairs: bool = False
    """Whether a request carries `text_pair` beside `text`."""
    layout: str
    """The module of the tokenize step that turns texts into rows of tokens."""
    layout_sources: tuple[str, ...] = ()
    """Server modules that the layout needs beside its own."""
    head: str
    """The module of the head step that turns numbers into answers."""
    head_sources: tuple[str, ...] = ()
    """Server modules that the head needs beside its own."""
    head_inputs: tuple[str, ...] = ()
    """What the head needs beside the graph's output: inputs of the request, or outputs of the tokenize step."""
    tensors: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Tensors of this task alone, as in `TENSORS`."""
    answers: tuple[str, ...]
    """The outputs of the head."""
    logits: bool = True
    """Whether the output holds logits; vectors otherwise."""
    labelled: bool = False
    """Whether the columns of the output have labels."""
    settings: Settings = _no_settings
    """Settings of the task's own steps, beside the common ones. Refuses a checkpoint that cannot do the task."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """What a request carries."""
        return ("text", "text_pair") if self.pairs else ("text",)

    def tensor(self, name: str) -> tuple[str, int]:
        """Type and dimensions of a tensor of this task."""
        return self.tensors[name] if name in self.tensors else TENSORS[name]


def labels_of(config: PreTrainedConfig) -> list[str]:
    """The labels of a head's columns, in order.

    Raises:
        CheckpointError: they are not numbered from 0 on.
    """
    stated: dict[Any, str] = dict(config.id2label or {})
    if sorted(stated) != list(range(len(stated))):
        raise CheckpointError(f"id2label of the checkpoint numbers its labels {sorted(stated)}; 0, 1, ... is expected")
    return [str(stated[index]) for index in range(len(stated))]


def _classification(
    config: PreTrainedConfig, modules: SentenceModules, tokenizer: PreTrainedTokenizerBase
) -> dict[str, Any]:
    """The activation that transformers' text-classification pipeline chooses."""
    if config.problem_type == "regression":
        return {"activation": "none"}
    if config.problem_type == "multi_label_classification" or config.num_labels == 1:
        return {"activation": "sigmoid"}
    return {"activation": "softmax"}


_RANKING_ACTIVATIONS = {
    "torch.nn.modules.activation.Sigmoid": "sigmoid",
    "torch.nn.modules.linear.Identity": "none",
}


def _ranking(config: PreTrainedConfig, modules: SentenceModules, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """The activation that sentence-transformers' CrossEncoder chooses: the stated one, a sigmoid otherwise."""
    if config.num_labels != 1:
        raise Unsupported(
            f"the head gives {config.num_labels} numbers for a pair, text-ranking needs 1; "
            "--task text-classification --pairs serves its labels"
        )
    stated = modules.activation or (getattr(config, "sentence_transformers", None) or {}).get("activation_fn")
    stated = stated or getattr(config, "sbert_ce_default_activation_function", None)
    if stated is None:
        return {"activation": "sigmoid"}
    if stated not in _RANKING_ACTIVATIONS:
        raise Unsupported(
            f"activation {stated!r} of the checkpoint is not supported; supported are {', '.join(_RANKING_ACTIVATIONS)}"
        )
    return {"activation": _RANKING_ACTIVATIONS[stated]}


_TEXT_CLASSIFICATION = Task(
    name="text-classification",
    network=transformers.AutoModelForSequenceClassification,
    output="logits",
    layout="single_texts",
    head="classification",
    head_sources=("bytes_tensor.py", "scores.py"),
    tensors={"label": (BYTES, 2), "score": (FP32, 2)},
    answers=("label", "score"),
    labelled=True,
    settings=_classification,
)

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="feature-extraction",
            network=transformers.AutoModel,
            output="sentence_embedding",
            layout="single_texts",
            head="vectors",
            tensors={"embedding": (FP32, 2)},
            answers=("embedding",),
            logits=False,
        ),
        _TEXT_CLASSIFICATION,
        Task(
            name="text-ranking",
            network=transformers.AutoModelForSequenceClassification,
            output="logits",
            pairs=True,
            layout="text_pairs",
            head="ranking",
            head_sources=("scores.py",),
            tensors={"index": (INT32, 1), "score": (FP32, 1)},
            answers=("index", "score"),
            settings=_ranking,
        ),
    )
}


def task_of(name: str, *, pairs: bool) -> Task:
    """The task `name`, of pairs of texts where `pairs` says so and the task allows both."""
    task = TASKS[name]
    if pairs and not task.pairs:
        if task is not _TEXT_CLASSIFICATION:
            raise Unsupported(f"--pairs: {name} is no task of sentence pairs; text-classification can be one")
        return replace(task, pairs=True, layout="text_pairs")
    return task
