"""A checkpoint in one precision on one engine, in this process, as an export certifies it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from encserve_export.engines.served_encoder import ServedEncoder
from encserve_export.engines.ways import Way
from encserve_export.publication.steps import EncodeSteps, write_graph_of


@contextmanager
def served(way: Way, steps: EncodeSteps, *, traced: Path, folder: Path) -> Iterator[ServedEncoder]:
    """The encode step of `way`, made in `folder`, which exists, out of the FP32 graph in the folder `traced`."""
    checkpoint, *_ = steps.checkpoints.values()
    write_graph_of(way, checkpoint, steps.calibration, traced=traced, folder=folder)
    step = steps.step(way.precision, folder)
    built = next(way.engine.build(step, lambda doing: nullcontext()))
    with way.engine.open(replace(step, memory=built.memory)) as encoder:
        yield encoder
