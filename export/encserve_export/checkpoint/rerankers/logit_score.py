"""A language model that scores a pair by the logits of its next token: one word says yes, and perhaps another no.

The logits of two tokens are two rows of a matrix times the last state, so that their difference is one linear layer of
one output. No logit of the rest of the vocabulary is ever computed.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from encserve_export.checkpoint.unread.checking import check_keys
from encserve_export.errors import CheckpointError, Unsupported
from encserve_export.json_file import read_needed_object

_LOGITS = "causal_logits"


@dataclass(frozen=True)
class LogitScore:
    """Which tokens a score is made of."""

    true_id: int
    """The token that says yes."""
    false_id: int | None = None
    """The token that says no, whose logit is subtracted; None where the first has the score alone."""


def read_logit_score(folder: Path) -> LogitScore:
    """The LogitScore module of sentence-transformers in `folder`.

    Raises:
        Unsupported: it reads something else than the logits, or a key is not offered.
        CheckpointError: it names no token.
    """
    file = folder / "config.json"
    stated = read_needed_object(file)
    check_keys(file, stated, ("true_token_id", "false_token_id", "module_input_name"), ())
    if stated.get("module_input_name", _LOGITS) != _LOGITS:
        raise Unsupported(f"{file} makes scores of {stated['module_input_name']!r}; supported is {_LOGITS}")
    yes, no = stated.get("true_token_id"), stated.get("false_token_id")
    if type(yes) is not int:
        raise CheckpointError(f"{file} names no true_token_id")
    if no is not None and type(no) is not int:
        raise CheckpointError(f"{file} states false_token_id {no!r}, which is no token")
    return LogitScore(yes, no)


def usual_logit_score(tokenizer: PreTrainedTokenizerBase) -> LogitScore:
    """The words that sentence-transformers takes where a checkpoint names none. Raises Unsupported: it has no such."""
    yes, no = (tokenizer.get_vocab().get(word) for word in ("yes", "no"))
    if yes is None or no is None:
        raise Unsupported("the tokenizer has no tokens 'yes' and 'no', of whose logits a score would be made")
    return LogitScore(yes, no)


def with_one_score(config: PreTrainedConfig) -> PreTrainedConfig:
    """The configuration of the network with a head of one output, which reads the last token, whatever it is."""
    if getattr(config, "final_logit_softcapping", None):
        raise Unsupported(
            f"the network caps its logits (final_logit_softcapping {config.final_logit_softcapping}), which is not "
            "supported for scores made of them"
        )
    changed = copy.deepcopy(config)
    changed.num_labels = 1
    changed.pad_token_id = None
    return changed


def scoring(model: PreTrainedModel, score: LogitScore) -> PreTrainedModel:
    """A language model as the network with a head of one output that gives the very scores.

    Raises:
        CheckpointError: a token that the network has not.
        Unsupported: a head that is no matrix alone.
    """
    words = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    if not isinstance(words, nn.Linear) or words.bias is not None:
        raise Unsupported(f"{type(model).__name__} makes its logits otherwise than by a matrix, which is not supported")
    for token in (score.true_id, *(() if score.false_id is None else (score.false_id,))):
        if not 0 <= token < words.out_features:
            raise CheckpointError(f"scores are made of token {token}; the network has {words.out_features} tokens")
    weight = words.weight[score.true_id]
    if score.false_id is not None:
        weight = weight - words.weight[score.false_id]
    with torch.device("meta"):  # its body comes from `model`
        scored: PreTrainedModel = AutoModelForSequenceClassification.from_config(with_one_score(model.config))
    setattr(scored, scored.base_model_prefix, model.base_model)
    scored.score = nn.Linear(words.in_features, 1, bias=False, device="meta")
    scored.score.weight = nn.Parameter(weight[None].clone(), requires_grad=False)
    return scored.eval().requires_grad_(False)
