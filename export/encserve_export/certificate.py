"""The certificate: the pipeline as it will be published, against the checkpoint as transformers runs it.

What is compared is the composed pipeline, tokenizer to network, out of the very files that are about to be published.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from encserve_server.models.options import OptionRules
from encserve_server.models.packed_session import PackedSession
from encserve_server.models.request_columns import columns_of
from encserve_server.models.tokenization import Tokenization

from .checkpoint import Checkpoint
from .config import Precision
from .corpus import mixed_texts
from .errors import CertificateFailed
from .limits import PARITY_LIMITS, ParityLimits
from .probes import Probe, probe_of
from .reference import reference_rows
from .steps import TOKEN_BUDGET
from .tasks import graph_output

TEXT_COUNT = 64
_BYTES_PER_TOKEN = 8  # of the longest text, so that every tokenizer reaches the maximum length with it
_COMPANY = 31  # texts beside each one, for the check that neighbours do not matter
_COMPANY_PLACES = (_COMPANY + 1) * 512**2  # in the attention of one head; where texts are longer, fewer keep company
_BESIDE_LONGEST = 8  # texts that are also run beside a text of the maximum length
_SCANNED_LENGTHS = 48  # from 1 token to the maximum, evenly in their logarithm

Rows = NDArray[np.float32]  # (rows, W)
Scale = Callable[[Rows], NDArray[np.float64]]
Text = dict[str, NDArray[np.int64]]
"""What one row of tokens gives to the graph, by input."""


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


def certify(
    checkpoint: Checkpoint, precision: Precision, folders: dict[str, Path], *, head: str = ""
) -> dict[str, Any]:
    """Measure the pipeline in the version folders `folders`, by step; returns the figures for the manifest.

    `head` is its head's name where it shares the encode step with others.

    Raises:
        CertificateFailed: a figure misses its limit; the message names the figure, the limit and the worst text.
    """
    pipeline = _Pipeline(checkpoint, folders, head)
    probe = probe_of(checkpoint, mixed_texts(TEXT_COUNT, longest_bytes=_BYTES_PER_TOKEN * checkpoint.max_length))
    texts = pipeline.tokenize(probe)
    _check_tokens(probe, texts)

    expected = [reference_rows(checkpoint, *each).numpy() for each in probe.expected]
    scale = _scale_of(checkpoint, np.concatenate(expected))
    reference = [scale(rows) for rows in expected]
    together = [scale(rows) for rows in pipeline.encode(texts)]
    alone = [scale(pipeline.encode_pack([text])[0]) for text in texts]
    longest = max(range(len(texts)), key=lambda index: len(texts[index]["input_ids"]))
    company = _company_difference(pipeline, texts, alone, longest, scale)
    scanned = sorted({round(length) for length in np.geomspace(1, checkpoint.max_length, _SCANNED_LENGTHS)})
    nonfinite = _nonfinite_lengths(pipeline, scanned, texts[longest])

    difference = np.array([np.abs(a - b).max(initial=0) for a, b in zip(together, reference, strict=True)])
    limits = PARITY_LIMITS[precision]
    figures = [
        _agreement(checkpoint, together, reference, limits),
        _Figure("max_abs_diff", float(difference.max()), limits.max_abs_diff, worst_text=int(difference.argmax())),
        _Figure(
            "company_max_abs_diff", float(company.max()), limits.company_max_abs_diff, worst_text=int(company.argmax())
        ),
        _Figure("nonfinite_lengths", len(nonfinite), 0),
    ]
    token_counts = [len(text["input_ids"]) for text in texts]
    _check(figures, token_counts)
    return {
        "texts": len(texts),
        "token_counts": token_counts,
        "lengths_scanned": scanned,
        "figures": {figure.name: {"measured": figure.measured, "limit": figure.limit} for figure in figures},
        "max_abs_diff_by_text": [float(f"{value:.3g}") for value in difference],
    }


class _Pipeline:
    """The steps of a pipeline in this process, from their published files."""

    def __init__(self, checkpoint: Checkpoint, folders: dict[str, Path], head: str) -> None:
        settings = json.loads((folders["tokenize"] / "settings.json").read_text(encoding="utf-8"))
        self._tokenization = Tokenization(Tokenizer.from_file(str(folders["tokenize"] / "tokenizer.json")), settings)
        self._defaults = OptionRules.from_settings(settings).defaults
        self._graph_inputs = checkpoint.graph_inputs
        self._output = graph_output(checkpoint.task, head)
        follows = {self._output: checkpoint.task.follows}
        self._session = PackedSession(folders["encode"] / "model.onnx", follows=follows, token_budget=TOKEN_BUDGET)

    def tokenize(self, probe: Probe) -> list[Text]:
        """What each row of tokens of a request gives to the graph."""
        options = {**self._defaults, **probe.options}
        raw = {name: [text.encode() for text in texts] for name, texts in probe.inputs.items()}
        (tensors,) = self._tokenization.tokenize([(self._tokenization.read(raw, options), options)])
        if isinstance(tensors, Exception):
            raise CertificateFailed(f"the tokenize step refuses the probe: {tensors}") from tensors
        columns = columns_of({name: tensors[name] for name in self._graph_inputs})
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def encode(self, texts: Sequence[Text]) -> list[Rows]:
        """Rows (r, W) of each text as a request gets them: in micro-batches."""
        columns = _columns(texts)
        return self._split(columns, self._session.run(columns, [self._output]))

    def encode_pack(self, texts: Sequence[Text]) -> list[Rows]:
        """Rows (r, W) of each text out of a single pack, however long."""
        columns = _columns(texts)
        return self._split(columns, self._session.run_pack(columns, [self._output]))

    def _split(self, columns: dict[str, list[NDArray[np.int64]]], rows: dict[str, Rows]) -> list[Rows]:
        return np.split(rows[self._output], np.cumsum(self._session.rows_of(columns, self._output))[:-1])


def _columns(texts: Sequence[Text]) -> dict[str, list[NDArray[np.int64]]]:
    return {name: [text[name] for text in texts] for name in texts[0]}


def _check_tokens(probe: Probe, texts: Sequence[Text]) -> None:
    """The tokenizer that is published must give what transformers gives, token by token and type by type."""
    if len(texts) != len(probe.expected):
        raise CertificateFailed(f"the tokenizer gives {len(texts)} rows, transformers {len(probe.expected)}")
    for index, (ours, (theirs, types)) in enumerate(zip(texts, probe.expected, strict=True)):
        ids = ours["input_ids"].tolist()
        if ids != theirs or (types is not None and ours["token_type_ids"].tolist() != types):
            raise CertificateFailed(
                f"the tokenizer gives text {index} {len(ids)} tokens that differ from the {len(theirs)} of "
                f"transformers: {probe.inputs['text'][index % len(probe.inputs['text'])][:60]!r}"
            )


def _agreement(
    checkpoint: Checkpoint,
    rows: Sequence[NDArray[np.float64]],
    reference: Sequence[NDArray[np.float64]],
    limits: ParityLimits,
) -> _Figure:
    """Of vectors the smallest cosine; of logits the share of rows whose highest column is the reference's highest."""
    if not checkpoint.task.logits:
        cosine = [float(np.einsum("rw,rw->r", a, b).min(initial=1)) for a, b in zip(rows, reference, strict=True)]
        worst = int(np.argmin(cosine))
        return _Figure("cosine_min", cosine[worst], limits.cosine_min, at_least=True, worst_text=worst)
    agreed = []
    for ours, theirs in zip(rows, reference, strict=True):
        chosen = np.take_along_axis(theirs, ours.argmax(1)[:, None], 1)[:, 0]
        agreed.append(float((theirs.max(1) - chosen <= limits.max_abs_diff).mean()) if len(ours) else 1.0)
    worst = int(np.argmin(agreed))
    return _Figure("argmax_agreement", agreed[worst], limits.argmax_agreement, at_least=True, worst_text=worst)


def _company_difference(
    pipeline: _Pipeline, texts: Sequence[Text], alone: Sequence[NDArray[np.float64]], longest: int, scale: Scale
) -> NDArray[np.float64]:
    """Largest difference (n,) of each text's rows alone and in company: among others of all lengths, and beside a text
    of the maximum length."""
    order = np.random.default_rng(0).permutation(len(texts)).tolist()
    size = min(_COMPANY + 1, max(2, _COMPANY_PLACES // len(texts[longest]["input_ids"]) ** 2))
    groups = [order[begin : begin + size] for begin in range(0, len(order), size)]
    groups += [[index, longest] for index in order[:_BESIDE_LONGEST]]
    worst = np.zeros(len(texts))
    for group in groups:
        for index, rows in zip(group, pipeline.encode_pack([texts[index] for index in group]), strict=True):
            worst[index] = np.maximum(worst[index], np.abs(scale(rows) - alone[index]).max(initial=0))
    return worst


def _nonfinite_lengths(pipeline: _Pipeline, lengths: Sequence[int], longest: Text) -> list[int]:
    """Which of `lengths`, in tokens, give a row with NaN or infinity."""

    def cut(name: str, values: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        return values if name == "mask_at" else np.resize(values, length)

    texts = [{name: cut(name, values, length) for name, values in longest.items()} for length in lengths]
    rows = pipeline.encode(texts)
    return [length for length, row in zip(lengths, rows, strict=True) if not np.isfinite(row).all()]


def _check(figures: Sequence[_Figure], token_counts: Sequence[int]) -> None:
    for figure in figures:
        if not figure.holds:  # a NaN holds nothing
            bound = "at least" if figure.at_least else "at most"
            worst = figure.worst_text
            where = "" if worst is None else f"; worst is text {worst} of {token_counts[worst]} tokens"
            raise CertificateFailed(f"{figure.name} is {figure.measured:.3g}, must be {bound} {figure.limit:g}{where}")


def _scale_of(checkpoint: Checkpoint, reference: Rows) -> Scale:
    """What makes rows of any checkpoint comparable: vectors to length 1, logits to the largest of the reference."""
    if not checkpoint.task.logits:
        return _unit
    largest = max(float(np.abs(reference).max()), 1e-12)
    return lambda rows: rows.astype(np.float64) / largest


def _unit(vectors: Rows) -> NDArray[np.float64]:
    wide = vectors.astype(np.float64)
    return np.divide(wide, np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))
