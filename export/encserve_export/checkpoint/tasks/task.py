"""A task: how its network is loaded, what that gives, and which server steps stand around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from encserve_export.checkpoint.sentence.modules import SentenceModules
from encserve_export.errors import CheckpointError

INT8, INT32, INT64, UINT8, FP32, BYTES = "INT8", "INT32", "INT64", "UINT8", "FP32", "BYTES"

TENSORS: dict[str, tuple[str, int]] = {
    "text": (BYTES, 1),
    "text_pair": (BYTES, 1),
    "input_ids": (INT64, 1),
    "lengths": (INT64, 1),
    "token_type_ids": (INT64, 1),
    "attention_mask": (INT64, 1),
    "pooling_mask": (INT64, 1),
    "entity_roles": (INT64, 1),
    "adapter_ids": (INT64, 1),
    "mask_at": (INT64, 1),
    "token_count": (INT32, 1),
    "dropped_count": (INT32, 1),
    "window_count": (INT32, 1),
    "arrived_ns": (INT64, 1),
}
"""Tensor between client and steps -> its type and its dimensions beside the leading one. What only one task has stands
in the task."""

GRAPH_INPUTS = (
    *("input_ids", "lengths", "token_type_ids", "attention_mask", "pooling_mask", "entity_roles", "adapter_ids"),
    "mask_at",
)
"""All that a graph may take, in the order in which it does."""

COUNTS = ("token_count", "dropped_count")

PAIRED = ("context_windows", "hypotheses", "text_pairs")
"""Layouts whose rows hold two texts."""


Settings: TypeAlias = Callable[[PreTrainedConfig, SentenceModules, PreTrainedTokenizerBase], Mapping[str, Any]]


def _no_settings(
    config: PreTrainedConfig, modules: SentenceModules, tokenizer: PreTrainedTokenizerBase
) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class GraphOutput:
    """One tensor that the graph gives, float32 (rows, columns)."""

    name: str
    follows: str = "lengths"
    """The input of the graph for each of whose elements it has a row: "lengths" means a row for each text."""
    option: str = ""
    """The flag of a request that says whether the output is wanted; empty where every request wants it."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task, in Hugging Face's name for it; it has none for the vectors of tokens and for sparse vectors."""

    name: str
    network: type[Any]
    """The class of transformers that loads the network with its head."""
    outputs: tuple[GraphOutput, ...]
    """What one pass of the graph gives: one output, or several of which a request chooses."""
    graph_extra: tuple[str, ...] = ()
    """What the graph takes beside the tokens, their lengths and their types."""
    pairs: bool = False
    """Whether a request carries `text_pair` beside `text`."""
    prompts: bool = False
    """Whether a request may put a prompt of the checkpoint before each text."""
    layout: str
    """The module of the tokenize step that turns texts into rows of tokens."""
    head: str
    """The module of the head step that turns numbers into answers."""
    head_inputs: tuple[str, ...] = ()
    """What the head needs beside the graph's output: inputs of the request, or outputs of the tokenize step."""
    tensors: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Tensors of this task alone, as in `TENSORS`."""
    answers: tuple[str, ...]
    """The outputs of the head."""
    generates: bool = False
    """Whether its answers are texts, which a decoder makes token by token."""
    counts: tuple[str, ...] = COUNTS
    """What the tokenize step tells the client."""
    logits: bool = True
    """Whether the output holds logits; vectors otherwise."""
    labelled: bool = False
    """Whether the columns of the output have labels."""
    settings: Settings = _no_settings
    """Settings of the task's own steps, beside the common ones. Refuses a checkpoint that cannot do the task."""

    @property
    def output(self) -> str:
        """The name of the graph's output; of several, of the first."""
        return self.outputs[0].name

    @property
    def follows(self) -> str:
        """The input of which that has a row for each element."""
        return self.outputs[0].follows

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


def graph_outputs(task: Task, head: str) -> dict[str, GraphOutput]:
    """The outputs of a task by their names in the graph; `head` is that of the task's head, empty for the first or only
    one."""
    return {f"{output.name}_{head}" if head else output.name: output for output in task.outputs}
