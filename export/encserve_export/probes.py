"""What the certificate asks a pipeline: a request of its task, and the tokens that transformers gives for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from transformers import BatchEncoding

from .checkpoint import Checkpoint

Tokens: TypeAlias = tuple[list[int], list[int] | None]
"""Token ids of a row, and its token types where the graph takes them."""


@dataclass(frozen=True)
class Probe:
    """One request."""

    inputs: dict[str, list[str]]
    expected: list[Tokens]
    """The rows of tokens that it must become."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options that differ from the defaults."""
    read: list[list[int]] | None = None
    """For each row of tokens, those whose numbers the head looks at; None for all of all. transformers takes a million
    from BigBird's logits of a question, where no answer can be: beside that no difference would be seen."""

    def shown(self, row: int) -> str:
        """The beginning of the text that a row of tokens comes from; rows may be several to a text."""
        texts = self.inputs["text"]
        return repr(texts[row * len(texts) // len(self.expected)][:60])


def probe_of(checkpoint: Checkpoint, texts: Sequence[str]) -> Probe:
    """A request about `texts`."""
    return _PROBES[checkpoint.task.layout](checkpoint, list(texts))


def _single_texts(checkpoint: Checkpoint, texts: list[str]) -> Probe:
    prompt = checkpoint.modules.prompts.get(checkpoint.modules.default_prompt_name or "", "")
    return Probe({"text": texts}, _tokens(checkpoint, [prompt + text for text in texts]))


def _text_pairs(checkpoint: Checkpoint, texts: list[str]) -> Probe:
    others = texts[len(texts) // 3 :] + texts[: len(texts) // 3]  # pairs of all kinds of lengths
    return Probe({"text": texts, "text_pair": others}, _tokens(checkpoint, texts, others))


def _context_windows(checkpoint: Checkpoint, texts: list[str]) -> Probe:
    questions = [("Why?", "What is it?")[index % 2] for index in range(len(texts))]
    contexts = [text or "a" for text in texts]
    windows = {"stride": min(128, checkpoint.max_length // 2), "return_overflowing_tokens": True}
    encoded = _encoded(checkpoint, questions, contexts, truncation="only_second", **windows)
    tokens = _tokens_of(checkpoint, encoded)
    in_context = [[sequence == 1 for sequence in encoded.sequence_ids(row)] for row in range(len(tokens))]
    read = [[0, *(place for place, inside in enumerate(row) if inside)] for row in in_context]
    return Probe({"text": questions, "text_pair": contexts}, tokens, read=read)


def _masked_texts(checkpoint: Checkpoint, texts: list[str]) -> Probe:
    mask = checkpoint.tokenizer.mask_token
    masked = [
        f"{mask} {text[:1]} {mask} {text[1:]}" if index % 3 == 0 else mask + text for index, text in enumerate(texts)
    ]
    return Probe({"text": masked}, _tokens(checkpoint, masked))


def _hypotheses(checkpoint: Checkpoint, texts: list[str]) -> Probe:
    labels, template = ["the weather", "money"], "About {}."
    premises = [text for text in texts for _ in labels]
    hypotheses = [template.replace("{}", label) for label in labels] * len(texts)
    return Probe(
        {"text": texts},
        _tokens(checkpoint, premises, hypotheses, truncation="only_first"),
        {"labels": labels, "hypothesis_template": template},
    )


_PROBES: dict[str, Callable[[Checkpoint, list[str]], Probe]] = {
    "context_windows": _context_windows,
    "hypotheses": _hypotheses,
    "masked_texts": _masked_texts,
    "single_texts": _single_texts,
    "tagged_texts": _single_texts,
    "text_pairs": _text_pairs,
}


def _tokens(checkpoint: Checkpoint, *texts: list[str], truncation: bool | str = True) -> list[Tokens]:
    return _tokens_of(checkpoint, _encoded(checkpoint, *texts, truncation=truncation))


def _encoded(checkpoint: Checkpoint, *texts: list[str], truncation: bool | str, **windows: Any) -> BatchEncoding:
    typed = True if "token_type_ids" in checkpoint.graph_inputs else None  # None leaves it to the tokenizer
    encoded: BatchEncoding = checkpoint.tokenizer(
        *texts,
        truncation=truncation,
        max_length=checkpoint.max_length,
        padding=False,
        return_token_type_ids=typed,
        **windows,
    )
    return encoded


def _tokens_of(checkpoint: Checkpoint, encoded: BatchEncoding) -> list[Tokens]:
    typed = "token_type_ids" in checkpoint.graph_inputs
    types = encoded["token_type_ids"] if typed else [None] * len(encoded["input_ids"])
    return list(zip(encoded["input_ids"], types, strict=True))
