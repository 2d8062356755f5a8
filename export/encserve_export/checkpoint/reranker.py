"""Whether a checkpoint is a reranker that is asked in words, and how, as sentence-transformers' CrossEncoder has it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from encserve_export.errors import InvalidConfig, Unsupported

from .rerankers.logit_score import LogitScore, usual_logit_score
from .rerankers.pair_template import Messages, PairTemplate, template_of
from .sentence.modules import SentenceModules

_OF_SENTENCES = ("feature-extraction", "late-interaction", "token-embedding", "sparse-embedding")


@dataclass(frozen=True)
class Reranker:
    """A reranker that is asked in words."""

    template: PairTemplate
    score: LogitScore | None
    """The words of whose logits its score is made; None where it has a head of its own."""


def reranker_of(
    folder: Path, config: PreTrainedConfig, modules: SentenceModules, tokenizer: PreTrainedTokenizerBase
) -> Reranker | None:
    """The reranker in `folder`; None where a pair is read as two texts, without a template.

    Raises:
        Unsupported: its template, or the words of its score, are none that are offered.
    """
    messages, score = modules.transformer.messages, modules.logit_score
    if not (folder / "modules.json").is_file():
        messages = Messages() if tokenizer.chat_template else None
        if str((config.architectures or [""])[0]).endswith("ForCausalLM"):
            _refuse_mere_chat(folder, tokenizer)
            score = usual_logit_score(tokenizer)
    if score is None and messages is None:
        return None
    if messages is None and (folder / "modules.json").is_file():
        raise Unsupported(
            f"{folder} makes scores of a language model's logits and puts pairs into no chat template (modality_config "
            "has no 'message'), without which scores are next to random"
        )
    template = template_of(tokenizer, messages or Messages())
    if modules.prompts and not template.instructed:
        raise Unsupported(
            "the checkpoint has prompts, and its chat template no place for them (a message of the role 'system' "
            "before query and document)"
        )
    if tokenizer.truncation_side == "left":
        raise Unsupported(
            "the tokenizer of the checkpoint cuts at the start of a text (truncation_side), where its template stands"
        )
    return Reranker(template, score)


def _refuse_mere_chat(folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise Unsupported for a language model whose chat template, if it has one, is that of a chat and of no pair:
    sentence-transformers would leave out what has another role, or show the words of a chat to a model that was trained
    on others."""
    template = tokenizer.chat_template
    if template is None or (isinstance(template, str) and not all(role in template for role in ("query", "document"))):
        raise Unsupported(
            f"{folder} is a language model without modules.json, and has no chat template for the roles 'query' and "
            "'document': nothing says how it is asked about a pair, and of which words a score is made. Take a "
            "revision of the checkpoint that has both (--revision), or save it with CrossEncoder(modules=[Transformer("
            "..., transformer_task='text-generation'), LogitScore(true_token_id, false_token_id)]).save_pretrained("
            "...), with the template and the words that it was trained with, which for mxbai-rerank-v2 are '1' and '0'"
        )


def check_room(reranker: Reranker, modules: SentenceModules, tokenizer: PreTrainedTokenizerBase, length: int) -> None:
    """Raise InvalidConfig unless a text of `length` tokens has room for more than the template and its prompts."""
    for prompt in ("", *modules.prompts.values()):
        around = tokenizer(reranker.template.render("", "", prompt), add_special_tokens=False)["input_ids"]
        if len(around) >= length:
            raise InvalidConfig(
                f"the template of the checkpoint has {len(around)} tokens, so that {length} leave no room for a "
                "document; give a larger --max-length"
            )


def refuse_chat(folder: Path, tokenizer: PreTrainedTokenizerBase, task: str) -> None:
    """Raise Unsupported for a checkpoint whose texts sentence-transformers would take for messages of a chat."""
    if task in _OF_SENTENCES and tokenizer.chat_template and not (folder / "modules.json").is_file():
        raise Unsupported(
            f"{folder} has a chat template and no modules.json: sentence-transformers would put every text into that "
            "template, which a model of a chat is made for and no embedding model. Save it with "
            "SentenceTransformer(...).save_pretrained(...), with the pooling that it was trained for"
        )
