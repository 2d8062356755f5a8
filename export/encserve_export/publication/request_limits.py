"""What one request may ask of a pipeline, so that what it makes the encode step keep is bounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from tokenizers import Tokenizer

from encserve_export.checkpoint.checkpoint import Checkpoint
from encserve_export.config import ExportConfig, Precision
from encserve_export.engines.engine import CutNetwork
from encserve_export.engines.table import engine_for, engines_of
from encserve_export.errors import InvalidConfig
from encserve_export.network.cuts import STATED_BYTES
from encserve_export.network.memory import Request, tokens_that_fit
from encserve_export.network.sizes import Sizes, sizes_of
from encserve_server.steps.tokenize.limits import MAX_WHOLE_BYTES, Limits
from encserve_server.steps.tokenize.safe_cuts import safe_cuts_of

from .request_options import MAX_TEXTS_PER_REQUEST

MAX_TOKENS_PER_REQUEST = 65_536
MAX_BYTES_PER_TEXT = 16 * 1024 * 1024
"""Of a text that truncation cuts at a safe place, so that most of it is never tokenized; others are tokenized whole."""
_READ_WHOLE = ("context_windows", "gliner2_texts", "labelled_words", "masked_texts")
"""Layouts that need every token of a text."""


def limits_by_head(checkpoints: Mapping[str, Checkpoint], config: ExportConfig) -> dict[str, Limits]:
    """What one request may ask of each pipeline that an encode step serves; `checkpoints` by the name of their head.

    Raises:
        InvalidConfig: the token budget of a micro-batch leaves no memory for a request.
    """
    sharing = [*checkpoints.values()]
    return {head: _limits_of(checkpoint, sharing, config) for head, checkpoint in checkpoints.items()}


def _limits_of(checkpoint: Checkpoint, sharing: Sequence[Checkpoint], config: ExportConfig) -> Limits:
    """Of its engine, and of the one that follows. What all checkpoints of the encode step ask for is kept side by
    side."""
    tokenizer = Tokenizer.from_str(checkpoint.tokenizer_file())
    whole = checkpoint.task.layout in _READ_WHOLE or safe_cuts_of(tokenizer) is None
    capacities = [each.capacity(checkpoint.max_length) for each in engines_of(config)]
    texts = min(each.texts_per_request or MAX_TEXTS_PER_REQUEST for each in capacities)
    most = max(MAX_TOKENS_PER_REQUEST, checkpoint.max_length)
    tokens = min(each.tokens_per_request or most for each in capacities)
    if config.followed_by is None:
        tokens = _tokens_within(tokens, sizes_of(sharing), partial(largest_request, sharing, texts), config)
    return Limits(
        max_length=checkpoint.max_length,
        max_texts_per_request=texts,
        max_tokens_per_request=tokens,
        max_bytes_per_text=MAX_WHOLE_BYTES if whole else MAX_BYTES_PER_TEXT,
    )


def _tokens_within(most: int, sizes: Sizes, request_of: Callable[[int], Request], config: ExportConfig) -> int:
    """As many tokens of a request as the memory of an encode step has room for.

    Raises:
        InvalidConfig: the token budget that was asked for leaves none, and another would.
    """
    engine = engine_for(config)
    precision, budget = config.precision or Precision.FP32, engine.token_budget(config.token_budget)
    network = CutNetwork(sizes=sizes, precision=precision, token_budget=budget)
    shortest = request_of(1)
    taken, least = (engine.least_bytes(each, shortest) for each in (network, replace(network, token_budget=1)))
    if taken is None or least is None:
        return most
    if config.token_budget is not None and least <= STATED_BYTES < taken:
        raise InvalidConfig(
            f"--token-budget {config.token_budget}: micro-batches of so many tokens take up to {taken / 2**30:.1f} GiB "
            f"beside the weights, and {STATED_BYTES / 2**30:g} GiB are the most that they and a request may take"
        )
    return tokens_that_fit(most, request_of, lambda request: engine.least_bytes(network, request) or 0)


def largest_request(checkpoints: Sequence[Checkpoint], texts: int, tokens: int) -> Request:
    """The most that one request of so many texts and tokens makes the graph of the encode step keep, which computes all
    heads for it."""
    rows = {"lengths": min(texts, tokens)}
    outputs = [(output, each.columns[output.name]) for each in checkpoints for output in each.task.outputs]
    numbers = sum(rows.get(output.follows, tokens) * columns for output, columns in outputs)
    return Request(
        tokens=tokens,
        longest=max(checkpoint.max_length for checkpoint in checkpoints),
        numbers_per_token=numbers / tokens,
        columns=sum(columns for _, columns in outputs),
    )
