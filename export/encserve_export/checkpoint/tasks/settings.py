"""The settings of each task's own steps, as the reference library would choose them for a checkpoint."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from encserve_export.checkpoint.sentence.layers import width_behind
from encserve_export.checkpoint.sentence.modules import SentenceModules
from encserve_export.errors import Unsupported

from .task import labels_of


def classification(
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
    "torch.nn.modules.activation.LogSigmoid": "log_sigmoid",
    "torch.nn.modules.activation.ReLU": "relu",
    "torch.nn.modules.activation.Softplus": "softplus",
    "torch.nn.modules.activation.Tanh": "tanh",
    "torch.nn.modules.linear.Identity": "none",
}
"""Functions that keep the order of logits."""


def ranking(config: PreTrainedConfig, modules: SentenceModules, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """The activation that sentence-transformers' CrossEncoder chooses: the stated one, a sigmoid otherwise."""
    numbers = width_behind(modules.dense, 0) if modules.scores else config.num_labels
    if numbers != 1:
        architecture = str((config.architectures or [""])[0])
        if architecture and not modules.scores and not architecture.endswith("ForSequenceClassification"):
            raise Unsupported(
                f"config.json states architecture {architecture!r}, which has no head for the score of a pair; "
                "supported are heads of one label (ForSequenceClassification) and language models that are asked in "
                "words (ForCausalLM)"
            )
        raise Unsupported(
            f"the head gives {numbers} numbers for a pair, text-ranking needs 1; "
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


def token_classification(
    config: PreTrainedConfig, modules: SentenceModules, tokenizer: PreTrainedTokenizerBase
) -> dict[str, Any]:
    """How transformers' pipeline tells subwords."""
    model = tokenizer.backend_tokenizer.model
    return {
        "marks_subwords": bool(getattr(model, "continuing_subword_prefix", None)),
        "unknown_id": tokenizer.unk_token_id,
    }


def hybrid(config: PreTrainedConfig, modules: SentenceModules, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """The tokens that are no terms of a sparse vector, as FlagEmbedding leaves them out; and those of
    `token_classification`, with which the places of tokens are found."""
    special = (tokenizer.cls_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id)
    return {
        **token_classification(config, modules, tokenizer),
        "no_terms": sorted({id_ for id_ in special if id_ is not None}),
    }


def question_answering(
    config: PreTrainedConfig, modules: SentenceModules, tokenizer: PreTrainedTokenizerBase
) -> dict[str, Any]:
    """Nothing, but of a tokenizer whose windows do not begin where a context does."""
    if tokenizer.truncation_side == "left":
        raise Unsupported(
            "the tokenizer of the checkpoint cuts at the start of a text (truncation_side), which question-answering "
            "does not offer: its windows begin with the context"
        )
    return {}


def fill_mask(config: PreTrainedConfig, modules: SentenceModules, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """The mask, as a text shows it and as the network sees it."""
    if tokenizer.mask_token_id is None:
        raise Unsupported("the tokenizer of the checkpoint has no mask token, which fill-mask needs")
    return {"mask_token": tokenizer.mask_token, "mask_id": tokenizer.mask_token_id}


def zero_shot(config: PreTrainedConfig, modules: SentenceModules, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """The columns that transformers' pipeline reads."""
    labels = labels_of(config)
    entailment = next((index for index, label in enumerate(labels) if label.lower().startswith("entail")), None)
    if entailment is None or len(labels) < 2:
        raise Unsupported(
            f"the labels of the checkpoint are {', '.join(labels)}; zero-shot-classification needs one that begins "
            "with entail, and another"
        )
    return {"entailment_column": entailment, "contradiction_column": len(labels) - 1 if entailment == 0 else 0}
