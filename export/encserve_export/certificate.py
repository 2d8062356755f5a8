"""The certificate: the pipeline as it will be published, against the checkpoint as transformers runs it.

What is compared is the composed pipeline, tokenizer to network, out of the very files that are about to be published.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from encserve_server.models.cores import usable_cores
from encserve_server.models.lone_threads import lone_threads
from encserve_server.models.options import OptionRules
from encserve_server.models.packed_session import PackedSession
from encserve_server.models.request_columns import columns_of
from encserve_server.models.tokenization import Tokenization

from .batched_session import BatchedSession
from .checkpoint import Checkpoint
from .config import TOKEN_BUDGET, ExportConfig, Runtime
from .corpus import mixed_texts
from .cuda_session import CudaSession
from .errors import CertificateFailed
from .limits import ParityLimits
from .neighbours import overlap, related_texts
from .packed_graph import GRAPH_FILE
from .parity import Figure, Rows, Text, measure, unit
from .plan_session import PlanSession
from .precisions import Way
from .probes import Probe, probe_of
from .reference import reference_rows
from .reference_file import Question, write_reference
from .tasks import graph_output
from .tensorrt_plan import PLAN_FILE, Target
from .tensorrt_profile import bounds_of

TEXT_COUNT = 64
_WHATEVER_IS_ASKED = {"max_texts_per_request": 2**31, "max_tokens_per_request": 2**31}
_BYTES_PER_TOKEN = 8  # of the longest text, so that every tokenizer reaches the maximum length with it


def certify(
    checkpoint: Checkpoint,
    way: Way,
    limits: ParityLimits,
    config: ExportConfig,
    folders: dict[str, Path],
    *,
    head: str = "",
    kept: Path | None = None,
    target: Target | None = None,
) -> dict[str, Any]:
    """Measure the pipeline in the version folders `folders`, by step; returns the figures for the manifest.

    `head` is its head's name where it shares the encode step with others. What it was asked and what the checkpoint
    says is kept in the folder `kept`, so that `encserve verify` can ask again. A graph for another backend is run in
    ONNX Runtime, on the GPU of this host if its way says so; with `target` the plan is run that was built from it.

    Raises:
        CertificateFailed: a figure misses its limit; the message names the figure, the limit and the worst text.
    """
    output = graph_output(checkpoint.task, head)
    follows = {output: checkpoint.task.follows}
    session: PackedSession | BatchedSession
    if way.on_cuda:
        session = CudaSession(folders["encode"] / GRAPH_FILE, way.precision, follows=follows)
    elif target is not None:
        bounds = bounds_of(checkpoint.max_length)
        session = PlanSession(target, folders["encode"] / PLAN_FILE, follows=follows, bounds=bounds)
    else:
        graph_bytes = sum(file.stat().st_size for file in folders["encode"].iterdir() if file.is_file())
        session = PackedSession(
            folders["encode"] / GRAPH_FILE,
            follows=follows,
            token_budget=config.tokens_per_micro_batch or TOKEN_BUDGET,
            runtime=(way.runtime or Runtime.ONNXRUNTIME).value,
            hints=way.hints,
            lone_threads=lone_threads({}, graph_bytes, usable_cores()),
        )
    pipeline = _Pipeline(checkpoint, session, folders["tokenize"], output)
    probe = probe_of(checkpoint, mixed_texts(TEXT_COUNT, longest_bytes=_BYTES_PER_TOKEN * checkpoint.max_length))
    texts = pipeline.tokenize(probe)
    _check_tokens(probe, texts)
    expected = [reference_rows(checkpoint, *each).numpy() for each in probe.expected]
    parity = measure(
        pipeline,
        texts,
        expected,
        logits=checkpoint.task.logits,
        limits=limits,
        max_length=checkpoint.max_length,
        read=probe.read,
    )
    complaints = parity.complaints([probe.shown(index) for index in range(len(texts))])
    neighbours = _neighbours(checkpoint, pipeline, limits)
    complaints += [figure.complaint() for figure in neighbours if not figure.holds]
    if complaints:
        raise CertificateFailed("; ".join(complaints))
    if kept is not None:
        question = Question(
            inputs=probe.inputs,
            options=probe.options,
            output=output,
            follows=checkpoint.task.follows,
            logits=checkpoint.task.logits,
            read=probe.read,
        )
        write_reference(kept, question, probe.expected, expected)
    return {
        "measured_on": "gpu" if way.on_cuda or target is not None else "cpu",
        "texts": len(texts),
        "token_counts": parity.token_counts,
        "lengths_scanned": parity.lengths_scanned,
        "figures": {
            figure.name: {"measured": figure.measured, "limit": figure.limit, "at_least": figure.at_least}
            for figure in (*parity.figures, *neighbours)
        },
        "max_abs_diff_by_text": parity.max_abs_diff_by_text,
    }


class _Pipeline:
    """The steps of a pipeline in this process, from their published files."""

    def __init__(
        self, checkpoint: Checkpoint, session: PackedSession | BatchedSession, tokenize: Path, output: str
    ) -> None:
        """`session` has the network, and `tokenize` is the version folder of its tokenize step."""
        settings = json.loads((tokenize / "settings.json").read_text(encoding="utf-8"))
        settings["limits"] |= _WHATEVER_IS_ASKED
        self._tokenization = Tokenization(Tokenizer.from_file(str(tokenize / "tokenizer.json")), settings)
        self._defaults = OptionRules.from_settings(settings).defaults
        self._graph_inputs = checkpoint.graph_inputs
        self._output = output
        self._session = session

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
                f"transformers: {probe.shown(index)}"
            )


def _neighbours(checkpoint: Checkpoint, pipeline: _Pipeline, limits: ParityLimits) -> list[Figure]:
    """Of a vector for each text: whether the nearest texts stay the nearest."""
    if checkpoint.task.logits or checkpoint.task.follows != "lengths":
        return []
    probe = probe_of(checkpoint, related_texts())
    ours = unit(np.concatenate(pipeline.encode(pipeline.tokenize(probe))))
    theirs = unit(np.concatenate([reference_rows(checkpoint, *each).numpy() for each in probe.expected]))
    return [Figure("neighbours", float(overlap(ours, theirs).mean()), limits.neighbours, at_least=True)]
