"""What one request may ask of a pipeline, so that what it makes the encode step keep is bounded."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer

from encserve_export.checkpoint.loading import Checkpoint
from encserve_export.config import ExportConfig, Precision
from encserve_export.engines.table import engine_for, engines_of
from encserve_export.errors import InvalidConfig
from encserve_export.network.cuts import STATED_BYTES, micro_batch_bytes
from encserve_export.network.memory import Request, tokens_that_fit
from encserve_export.network.sizes import sizes_of
from encserve_server.steps.tokenize.limits import MAX_WHOLE_BYTES, Limits
from encserve_server.steps.tokenize.safe_cuts import safe_cuts_of

from .request_options import MAX_TEXTS_PER_REQUEST

MAX_TOKENS_PER_REQUEST = 65_536
MAX_BYTES_PER_TEXT = 16 * 1024 * 1024
"""Of a text that truncation cuts at a safe place, so that most of it is never tokenized; others are tokenized whole."""
_READ_WHOLE = ("context_windows", "masked_texts")
"""Layouts that need every token of a text."""


def limits_of(checkpoint: Checkpoint, config: ExportConfig) -> Limits:
    """What one request may ask of a pipeline: of its engine, and of the one that follows.

    Raises:
        InvalidConfig: the token budget of a micro-batch leaves no memory for a request.
    """
    tokenizer = Tokenizer.from_str(checkpoint.tokenizer_file())
    whole = checkpoint.task.layout in _READ_WHOLE or safe_cuts_of(tokenizer) is None
    engine = engine_for(config)
    capacities = [each.capacity(checkpoint.max_length) for each in engines_of(config)]
    texts = min(each.texts_per_request or MAX_TEXTS_PER_REQUEST for each in capacities)
    most = max(MAX_TOKENS_PER_REQUEST, checkpoint.max_length)
    tokens = min(each.tokens_per_request or most for each in capacities)
    sizes = sizes_of([checkpoint])
    precision, longest = config.precision or Precision.FP32, checkpoint.max_length
    cuts = engine.cuts(sizes, precision, engine.token_budget(config.token_budget))
    if cuts is not None and config.followed_by is None:
        micro_batch = micro_batch_bytes(sizes, cuts, longest)
        smallest = engine.cuts(sizes, precision, 1)  # of a single text, which may be long
        if smallest is not None and micro_batch_bytes(sizes, smallest, longest) <= STATED_BYTES:
            _check_budget(config.token_budget, micro_batch)
        request = largest_request([checkpoint], texts=texts, tokens=tokens)
        tokens = tokens_that_fit(request, micro_batch)
    return Limits(
        max_length=checkpoint.max_length,
        max_texts_per_request=texts,
        max_tokens_per_request=tokens,
        max_bytes_per_text=MAX_WHOLE_BYTES if whole else MAX_BYTES_PER_TEXT,
    )


def _check_budget(tokens: int | None, micro_batch: int) -> None:
    if tokens is not None and micro_batch > STATED_BYTES:
        raise InvalidConfig(
            f"--token-budget {tokens}: a micro-batch of so many tokens takes up to {micro_batch / 2**30:.1f} GiB "
            f"beside the weights, and {STATED_BYTES / 2**30:g} GiB are the most that it and a request may take"
        )


def largest_request(checkpoints: Sequence[Checkpoint], *, texts: int, tokens: int) -> Request:
    """The most that one request makes the graph of the encode step keep, which computes all heads for it."""
    rows = [texts if checkpoint.task.follows == "lengths" else tokens for checkpoint in checkpoints]
    numbers = sum(count * checkpoint.dimensions for count, checkpoint in zip(rows, checkpoints, strict=True))
    longest = max(checkpoint.max_length for checkpoint in checkpoints)
    return Request(tokens=tokens, longest=longest, numbers_per_token=numbers / tokens)
