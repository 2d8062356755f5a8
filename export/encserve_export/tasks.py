"""The tasks that are served: how each network is loaded, what it gives, and which server steps stand around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import transformers
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from .errors import CheckpointError, Unsupported
from .sentence_modules import SentenceModules

INT8, INT32, INT64, UINT8, FP32, BYTES = "INT8", "INT32", "INT64", "UINT8", "FP32", "BYTES"

TENSORS: dict[str, tuple[str, int]] = {
    "text": (BYTES, 1),
    "text_pair": (BYTES, 1),
    "input_ids": (INT64, 1),
    "lengths": (INT64, 1),
    "token_type_ids": (INT64, 1),
    "mask_at": (INT64, 1),
    "token_count": (INT32, 1),
    "dropped_count": (INT32, 1),
    "window_count": (INT32, 1),
}
"""Tensor between client and steps -> its type and its dimensions beside the leading one. What only one task has stands
in the task."""

GRAPH_INPUTS = ("input_ids", "lengths", "token_type_ids", "mask_at")
"""All that a graph may take, in the order in which it does."""

COUNTS = ("token_count", "dropped_count")
WINDOWS = ("scores.py", "windows.py")
"""Server modules of tasks that can read long texts in windows."""

PAIRED = ("context_windows", "hypotheses", "text_pairs")
"""Layouts whose rows hold two texts."""


Settings: TypeAlias = Callable[[PreTrainedConfig, SentenceModules, PreTrainedTokenizerBase], Mapping[str, Any]]


def _no_settings(
    config: PreTrainedConfig, modules: SentenceModules, tokenizer: PreTrainedTokenizerBase
) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task, in Hugging Face's name for it; it has none for the vectors of tokens and for sparse vectors."""

    name: str
    network: type[Any]
    """The class of transformers that loads the network with its head."""
    output: str
    """Name of the graph's output."""
    follows: str = "lengths"
    """The input of the graph of which the output has a row for each element: "lengths" means a row for each text."""
    graph_extra: tuple[str, ...] = ()
    """What the graph takes beside the tokens, their lengths and their types."""
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
    counts: tuple[str, ...] = COUNTS
    """What the tokenize step tells the client."""
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


def _token_classification(
    config: PreTrainedConfig, modules: SentenceModules, tokenizer: PreTrainedTokenizerBase
) -> dict[str, Any]:
    """How transformers' pipeline tells subwords."""
    model = tokenizer.backend_tokenizer.model
    return {
        "marks_subwords": bool(getattr(model, "continuing_subword_prefix", None)),
        "unknown_id": tokenizer.unk_token_id,
    }


def _token_embedding(
    config: PreTrainedConfig, modules: SentenceModules, tokenizer: PreTrainedTokenizerBase
) -> dict[str, Any]:
    if modules.default_prompt_name:
        raise Unsupported(
            f"the checkpoint puts its prompt {modules.default_prompt_name!r} before each text, which token-embedding "
            "does not offer: offsets would count from it"
        )
    return _token_classification(config, modules, tokenizer)


def _fill_mask(
    config: PreTrainedConfig, modules: SentenceModules, tokenizer: PreTrainedTokenizerBase
) -> dict[str, Any]:
    if tokenizer.mask_token_id is None:
        raise Unsupported("the tokenizer of the checkpoint has no mask token, which fill-mask needs")
    return {"mask_token": tokenizer.mask_token, "mask_id": tokenizer.mask_token_id}


def _zero_shot(
    config: PreTrainedConfig, modules: SentenceModules, tokenizer: PreTrainedTokenizerBase
) -> dict[str, Any]:
    """The columns that transformers' pipeline reads."""
    labels = labels_of(config)
    entailment = next((index for index, label in enumerate(labels) if label.lower().startswith("entail")), None)
    if entailment is None or len(labels) < 2:
        raise Unsupported(
            f"the labels of the checkpoint are {', '.join(labels)}; zero-shot-classification needs one that begins "
            "with entail, and another"
        )
    return {"entailment_column": entailment, "contradiction_column": len(labels) - 1 if entailment == 0 else 0}


_TEXT_CLASSIFICATION = Task(
    name="text-classification",
    network=transformers.AutoModelForSequenceClassification,
    output="logits",
    layout="single_texts",
    layout_sources=WINDOWS,
    head="classification",
    head_sources=("bytes_tensor.py", *WINDOWS),
    head_inputs=("lengths", "window_count"),
    counts=(*COUNTS, "window_count"),
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
            layout_sources=WINDOWS,
            head="vectors",
            head_sources=WINDOWS,
            head_inputs=("lengths", "window_count"),
            counts=(*COUNTS, "window_count"),
            tensors={"embedding": (FP32, 2), "embedding_int8": (INT8, 2), "embedding_binary": (UINT8, 2)},
            answers=("embedding", "embedding_int8", "embedding_binary"),
            logits=False,
        ),
        Task(
            name="token-embedding",
            network=transformers.AutoModel,
            output="token_embedding",
            follows="input_ids",
            layout="tagged_texts",
            layout_sources=("single_texts.py", *WINDOWS),
            head="token_vectors",
            head_sources=("vectors.py", *WINDOWS),
            tensors={"offsets": (INT32, 2), "embedding": (FP32, 2)},
            answers=("embedding",),
            counts=(*COUNTS, "offsets"),
            logits=False,
            settings=_token_embedding,
        ),
        Task(
            name="sparse-embedding",
            network=transformers.AutoModelForMaskedLM,
            output="vocabulary_weights",
            layout="single_texts",
            layout_sources=WINDOWS,
            head="sparse_vectors",
            head_sources=("scores.py",),
            tensors={"term_count": (INT32, 1), "token_id": (INT32, 1), "weight": (FP32, 1)},
            answers=("term_count", "token_id", "weight"),
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
        Task(
            name="token-classification",
            network=transformers.AutoModelForTokenClassification,
            output="logits",
            follows="input_ids",
            layout="tagged_texts",
            layout_sources=("single_texts.py", *WINDOWS),
            head="entities",
            head_sources=("bytes_tensor.py", "scores.py"),
            head_inputs=("row_count", "offsets", "continues", "text"),
            counts=(*COUNTS, "window_count"),
            tensors={
                "row_count": (INT32, 1),
                "offsets": (INT32, 2),
                "continues": (INT32, 1),
                "entity_count": (INT32, 1),
                "label": (BYTES, 1),
                "entity": (BYTES, 1),
                "score": (FP32, 1),
                "start": (INT32, 1),
                "end": (INT32, 1),
            },
            answers=("entity_count", "label", "entity", "score", "start", "end"),
            labelled=True,
            settings=_token_classification,
        ),
        Task(
            name="question-answering",
            network=transformers.AutoModelForQuestionAnswering,
            output="logits",
            follows="input_ids",
            pairs=True,
            layout="context_windows",
            layout_sources=WINDOWS,
            head="spans",
            head_sources=("bytes_tensor.py", "scores.py"),
            head_inputs=("lengths", "window_count", "offsets", "word_offsets", "text_pair"),
            tensors={
                "offsets": (INT32, 2),
                "word_offsets": (INT32, 2),
                "answer": (BYTES, 2),
                "score": (FP32, 2),
                "start": (INT32, 2),
                "end": (INT32, 2),
                "no_answer_score": (FP32, 1),
            },
            answers=("answer", "score", "start", "end", "no_answer_score"),
            counts=(*COUNTS, "window_count"),
        ),
        Task(
            name="fill-mask",
            network=transformers.AutoModelForMaskedLM,
            output="logits",
            follows="mask_at",
            graph_extra=("mask_at",),
            layout="masked_texts",
            layout_sources=("single_texts.py", *WINDOWS),
            head="mask_fills",
            head_sources=("bytes_tensor.py", "scores.py"),
            head_inputs=("target_id", "mask_count"),
            tensors={
                "mask_count": (INT32, 1),
                "target_id": (INT32, 1),
                "pseudo_log_likelihood": (FP32, 1),
                "token": (BYTES, 2),
                "token_id": (INT32, 2),
                "score": (FP32, 2),
            },
            answers=("token", "token_id", "score", "pseudo_log_likelihood"),
            counts=(*COUNTS, "mask_count"),
            settings=_fill_mask,
        ),
        Task(
            name="zero-shot-classification",
            network=transformers.AutoModelForSequenceClassification,
            output="logits",
            layout="hypotheses",
            head="entailment",
            head_sources=("bytes_tensor.py", "scores.py"),
            tensors={"label": (BYTES, 2), "score": (FP32, 2)},
            answers=("label", "score"),
            settings=_zero_shot,
        ),
    )
}


def graph_output(task: Task, head: str) -> str:
    """The output of the graph that a head gives; `head` is empty for the first or only one."""
    return f"{task.output}_{head}" if head else task.output


def task_of(name: str, *, pairs: bool) -> Task:
    """The task `name`, of pairs of texts where `pairs` says so and the task allows both."""
    task = TASKS[name]
    if pairs and not task.pairs:
        if task is not _TEXT_CLASSIFICATION:
            raise Unsupported(f"--pairs: {name} is no task of sentence pairs; text-classification can be one")
        return replace(task, pairs=True, layout="text_pairs")
    return task
