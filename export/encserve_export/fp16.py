"""The precision fp16: a graph is turned, tried on texts that are hard for it, and measured as a GPU would round it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .calibration import Calibration
from .checkpoint import Checkpoint
from .graph_file import read_graph_file, write_graph_file
from .half_graph import halve, strictly_rounded
from .layer_errors import layer_errors
from .trial_texts import ordinary_packs, trial_packs


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
        "method": "fp16, with norms, softmax, masks and sums in fp32",
        "kept_fp32": turned.kept,
        "layers": errors,
    }


@contextmanager
def as_gpus_round(graph: Path) -> Iterator[Path]:
    """A folder with a copy of the fp16 `graph` that rounds on a CPU as a GPU does, for a while."""
    with TemporaryDirectory(prefix="encserve-fp16-") as folder:
        write_graph_file(strictly_rounded(read_graph_file(graph)), Path(folder) / graph.name)
        yield Path(folder)
