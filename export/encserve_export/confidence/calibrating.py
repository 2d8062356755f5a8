"""The temperature of a pipeline, fitted on what it answers itself, for its head and its certificate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from encserve_export.certificate.subject.composed import ComposedPipeline
from encserve_export.checkpoint.checkpoint import Checkpoint
from encserve_export.config import ExportConfig
from encserve_export.errors import InvalidConfig
from encserve_export.publication.steps import write_settings
from encserve_export.reference.messages import Asked
from encserve_server.steps.instance.settings import read_settings

from .labelled import LabelledText, LabelledTexts, read_labelled
from .temperature import Floats, Rows, fit, measured

TASK = "text-classification"
_TOGETHER = 64
"""Requests of one text that are under way at once."""
_SMALLEST_SCORE = 1e-38
"""A score of FP32 that has become 0 is at most this."""


def labelled_texts(config: ExportConfig, checkpoint: Checkpoint) -> LabelledTexts | None:
    """Return the texts of `--labels`; None where the export has none. Raises InvalidConfig."""
    if config.labels is None:
        return None
    if config.heads:
        raise InvalidConfig("--labels: of several heads each would need its own; export the head by itself")
    task = checkpoint.task
    settings = task.settings(checkpoint.config, checkpoint.modules, checkpoint.tokenizer)
    if task.name != TASK or settings["activation"] != "softmax":
        raise InvalidConfig(
            f"--labels is for {TASK} whose labels share a probability (softmax), and this is {task.name}"
            + (f" with {settings['activation']}" if task.name == TASK else "")
        )
    return read_labelled(config.labels, checkpoint.labels, pairs=task.pairs)


def calibrate(pipeline: ComposedPipeline, checkpoint: Checkpoint, texts: LabelledTexts, head: Path) -> dict[str, Any]:
    """Fit the temperature of a pipeline and write it into the settings of its `head` step, a version folder. Returns
    what the certificate says of it, measured on the texts that are held out.

    Raises:
        WayFailed: the encode step does not answer.
        CertificateFailed: another step does not.
    """
    temperature = fit(*_asked(pipeline, checkpoint, texts.fitted))
    logits, right = _asked(pipeline, checkpoint, texts.held_out)
    write_settings(head, {**read_settings(head), "temperature": temperature})
    return {
        "temperature": temperature,
        "texts": {"fitted": len(texts.fitted), "held_out": len(texts.held_out), "sha256": texts.sha256},
        "before": measured(logits, right, 1.0),
        "after": measured(logits, right, temperature),
    }


def _asked(pipeline: ComposedPipeline, checkpoint: Checkpoint, texts: Sequence[LabelledText]) -> tuple[Floats, Rows]:
    """The logits of texts, up to a number for each text, and their right labels as columns."""
    columns = {label: column for column, label in enumerate(checkpoint.labels)}
    logits = np.empty((len(texts), len(columns)))
    for begin in range(0, len(texts), _TOGETHER):
        some = texts[begin : begin + _TOGETHER]
        said = pipeline.ask([_question(each, checkpoint) for each in some], checkpoint.graph_inputs)
        for row, each in enumerate(said, start=begin):
            ((answer,),) = each.answers
            places = [columns[str(label)] for label in answer.keys]
            logits[row, places] = np.log(np.maximum(answer.numbers, _SMALLEST_SCORE))
    return logits, np.array([columns[each.label] for each in texts])


def _question(text: LabelledText, checkpoint: Checkpoint) -> Asked:
    return Asked({"text": [text.text], **({"text_pair": [text.pair]} if checkpoint.task.pairs else {})})
