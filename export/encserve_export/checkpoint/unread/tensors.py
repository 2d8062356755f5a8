"""Tensors that a checkpoint's file has and its network has not: which of them may be passed over, and why."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

import torch
import transformers
from transformers import PreTrainedModel

_BUFFERS = {
    "*position_ids": "counts 0, 1, 2, ..., which the network counts by itself",
    "*token_type_ids": "is all zeros, which stood in for token types that a caller did not give",
    "*inv_freq": "is made of the rotary embedding's base, which the config states",
}
"""Tensors that older versions of transformers saved although they are no weights, and what each holds."""

_HEADS = (
    transformers.AutoModel,
    transformers.AutoModelForPreTraining,
    transformers.AutoModelForMaskedLM,
    transformers.AutoModelForCausalLM,
    transformers.AutoModelForSequenceClassification,
    transformers.AutoModelForTokenClassification,
    transformers.AutoModelForQuestionAnswering,
    transformers.AutoModelForMultipleChoice,
    transformers.AutoModelForNextSentencePrediction,
    transformers.AutoModelForSeq2SeqLM,
)
"""The heads that transformers has: one that was trained along with another is of no use to the task that is served."""


def unread_tensors(model: PreTrainedModel, unexpected: Iterable[str]) -> list[str]:
    """Of the `unexpected` names, which the file has and `model` has not, those that no head of its family has either,
    in order."""
    names = sorted(name for name in unexpected if not any(fnmatchcase(name, buffer) for buffer in _BUFFERS))
    if not names:
        return []
    known = _tensors_of_heads(model)
    return [name for name in names if name not in known]


def _tensors_of_heads(model: PreTrainedModel) -> set[str]:
    """The names of the tensors of every head of the family of `model`, with and without the name of its body before
    them."""
    names: set[str] = set()
    prefix = f"{model.base_model_prefix}."
    for head in _HEADS:
        kind = head._model_mapping.get(type(model.config), None)
        for each in kind if isinstance(kind, tuple) else (kind,):
            if each is not None:
                with torch.device("meta"):
                    names |= each(model.config).state_dict().keys()
    return names | {name.removeprefix(prefix) for name in names} | {prefix + name for name in names}
