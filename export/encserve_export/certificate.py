"""The certificate: the pipeline as it will be published, against the checkpoint as transformers runs it.

What is compared is the composed pipeline, tokenizer to answer, out of the very files that are about to be published.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from encserve_server.models.options import OptionRules
from encserve_server.models.packed_session import PackedSession
from encserve_server.models.tokenization import Limits, Tokenization
from encserve_server.models.vectors import finish_vectors

from .checkpoint import Checkpoint
from .config import Precision
from .corpus import mixed_texts
from .errors import CertificateFailed
from .limits import PARITY_LIMITS
from .reference import reference_vector
from .steps import TOKEN_BUDGET

TEXT_COUNT = 64
_BYTES_PER_TOKEN = 8  # of the longest text, so that every tokenizer reaches the maximum length with it
_COMPANY = 31  # texts beside each one, for the check that neighbours do not matter
_BESIDE_LONGEST = 8  # texts that are also run beside a text of the maximum length
_SCANNED_LENGTHS = 48  # from 1 token to the maximum, evenly in their logarithm


@dataclass(frozen=True)
class _Figure:
    """One measured number and what it is held to."""

    name: str
    measured: float
    limit: float
    at_least: bool = False
    worst_text: int | None = None

    @property
    def holds(self) -> bool:
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


def certify(checkpoint: Checkpoint, precision: Precision, folders: dict[str, Path]) -> dict[str, Any]:
    """Measure the pipeline in the version folders `folders`, by step; returns the figures for the manifest.

    Raises:
        CertificateFailed: a figure misses its limit; the message names the figure, the limit and the worst text.
    """
    texts = mixed_texts(TEXT_COUNT, longest_bytes=_BYTES_PER_TOKEN * checkpoint.max_length)
    pipeline = _Pipeline(folders)
    token_ids = pipeline.tokenize(texts)
    _check_tokens(checkpoint, texts, token_ids)

    reference = _unit(np.stack([reference_vector(checkpoint, ids.tolist()).numpy() for ids in token_ids]))  # (n, H)
    together = _unit(pipeline.encode(token_ids))
    alone = _unit(np.concatenate([pipeline.encode_pack([ids]) for ids in token_ids]))
    company = _company_difference(pipeline, token_ids, alone)
    scanned = sorted({round(length) for length in np.geomspace(1, checkpoint.max_length, _SCANNED_LENGTHS)})
    nonfinite = _nonfinite_lengths(pipeline, scanned, token_ids[-1])

    cosine = np.einsum("nh,nh->n", together, reference, dtype=np.float64)
    difference = np.abs(together - reference).max(1)
    limits = PARITY_LIMITS[precision]
    figures = [
        _Figure("cosine_min", float(cosine.min()), limits.cosine_min, at_least=True, worst_text=int(cosine.argmin())),
        _Figure("max_abs_diff", float(difference.max()), limits.max_abs_diff, worst_text=int(difference.argmax())),
        _Figure(
            "company_max_abs_diff", float(company.max()), limits.company_max_abs_diff, worst_text=int(company.argmax())
        ),
        _Figure("nonfinite_lengths", len(nonfinite), 0),
    ]
    _check(figures, [len(ids) for ids in token_ids])
    return {
        "texts": len(texts),
        "token_counts": [len(ids) for ids in token_ids],
        "lengths_scanned": scanned,
        "cosine_mean": float(cosine.mean()),
        "figures": {figure.name: {"measured": figure.measured, "limit": figure.limit} for figure in figures},
        "max_abs_diff_by_text": [float(f"{value:.3g}") for value in difference],
    }


class _Pipeline:
    """The steps of a pipeline in this process, from their published files."""

    def __init__(self, folders: dict[str, Path]) -> None:
        settings = json.loads((folders["tokenize"] / "settings.json").read_text(encoding="utf-8"))
        tokenizer = Tokenizer.from_file(str(folders["tokenize"] / "tokenizer.json"))
        self._tokenization = Tokenization(tokenizer, Limits.from_settings(settings), settings["prompts"])
        self._options = OptionRules.from_settings(settings).defaults
        self._session = PackedSession(folders["encode"] / "model.onnx", token_budget=TOKEN_BUDGET)

    def tokenize(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Token ids (t,) of each text, cut to the maximum length."""
        decoded = self._tokenization.decode([text.encode() for text in texts], self._options)
        packed = self._tokenization.pack(self._tokenization.encode(decoded), self._options)
        return np.split(packed.input_ids, np.cumsum(packed.lengths)[:-1])

    def encode(self, token_ids: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """Answers (n, H) as a request with default options gets them: in micro-batches."""
        return finish_vectors(self._session.run(token_ids), self._options)

    def encode_pack(self, token_ids: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """Answers (n, H) out of a single pack, however long."""
        return finish_vectors(self._session.run_pack(token_ids), self._options)


def _check_tokens(checkpoint: Checkpoint, texts: Sequence[str], token_ids: Sequence[NDArray[np.int64]]) -> None:
    """The tokenizer that is published must give what transformers gives, token by token."""
    prompt = checkpoint.modules.prompts.get(checkpoint.modules.default_prompt_name or "", "")
    expected = checkpoint.tokenizer(
        [prompt + text for text in texts], truncation=True, max_length=checkpoint.max_length, padding=False
    )["input_ids"]
    for index, (ours, theirs) in enumerate(zip(token_ids, expected, strict=True)):
        if ours.tolist() != theirs:
            raise CertificateFailed(
                f"the tokenizer gives text {index} {len(ours)} tokens that differ from the {len(theirs)} of "
                f"transformers: {texts[index][:60]!r}"
            )


def _company_difference(
    pipeline: _Pipeline, token_ids: Sequence[NDArray[np.int64]], alone: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Largest difference (n,) of each text's vector alone and in company: among others of all lengths, and beside a
    text of the maximum length."""
    order = np.random.default_rng(0).permutation(len(token_ids))
    worst = np.zeros(len(token_ids), np.float32)
    for begin in range(0, len(order), _COMPANY + 1):
        group = order[begin : begin + _COMPANY + 1]
        vectors = _unit(pipeline.encode_pack([token_ids[index] for index in group]))
        worst[group] = np.abs(vectors - alone[group]).max(1)
    for index in order[:_BESIDE_LONGEST]:
        beside_longest = _unit(pipeline.encode_pack([token_ids[index], token_ids[-1]]))[0]
        worst[index] = max(worst[index], np.abs(beside_longest - alone[index]).max())
    return worst


def _nonfinite_lengths(pipeline: _Pipeline, lengths: Sequence[int], longest: NDArray[np.int64]) -> list[int]:
    """Which of `lengths`, in tokens, give a vector with NaN or infinity."""
    vectors = pipeline.encode([np.resize(longest, length) for length in lengths])
    return [length for length, finite in zip(lengths, np.isfinite(vectors).all(1), strict=True) if not finite]


def _check(figures: Sequence[_Figure], token_counts: Sequence[int]) -> None:
    for figure in figures:
        if not figure.holds:  # a NaN holds nothing
            bound = "at least" if figure.at_least else "at most"
            worst = figure.worst_text
            where = "" if worst is None else f"; worst is text {worst} of {token_counts[worst]} tokens"
            raise CertificateFailed(f"{figure.name} is {figure.measured:.3g}, must be {bound} {figure.limit:g}{where}")


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = vectors.astype(np.float64)
    return np.divide(wide, np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))
