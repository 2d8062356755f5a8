"""The precision fp16: a graph is turned, tried on texts that are hard for it, and measured as a GPU would round it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from encserve_export.checkpoint.checkpoint import Checkpoint
from encserve_export.network.graph_file import read_graph_file, write_graph_file
from encserve_export.texts.calibration import Calibration
from encserve_export.texts.trial_texts import ordinary_packs, trial_packs

from .half.gpu_rounding import strictly_rounded
from .half.graph import halve
from .layers.errors import layer_errors


def transform(graph: Path, checkpoint: Checkpoint, calibration: Calibration) -> dict[str, Any]:
    """Rewrite an FP32 graph file in fp16; returns what the manifest says of it.

    Raises:
        Unsupported: the graph cannot be fp16.
    """
    full, packs = read_graph_file(graph), trial_packs(checkpoint)
    turned = halve(full, [*packs, *calibration.packs])
    errors = layer_errors(full, strictly_rounded(turned.model), ordinary_packs(packs))
    write_graph_file(turned.model, graph)
    return {
        "method": "fp16, with norms, softmax, masks, sums and angles in fp32",
        "kept_fp32": turned.kept,
        "layers": errors,
    }
